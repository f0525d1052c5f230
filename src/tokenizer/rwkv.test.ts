import { describe, expect, it } from "vitest";
import { packStrings } from "../bytes/packed-strings.ts";
import { handMadeBpe } from "./hand-made.fixture.ts";
import { TOKEN_TYPE } from "./spec.ts";
import { createTokenizer } from "./tokenizer.ts";

describe("RWKV World", () => {
  const texts = ["<s>", "\\x00", "\\n", "a", "ab", "abcd", "\\\\", "\\xc3", "\\xa9", "é", "\\t\\r'"];
  const tokenizer = createTokenizer(
    handMadeBpe([], {
      model: "rwkv",
      pre: null,
      merges: null,
      tokens: packStrings(texts),
      types: Int32Array.from(texts, (_, id) => (id === 0 ? TOKEN_TYPE.control : TOKEN_TYPE.normal)),
    }),
  );

  it("takes the longest token first and falls back where a longer one breaks off", () => {
    expect(tokenizer.encode("abab\na")).toEqual([4, 4, 2, 3]);
    expect(tokenizer.encode("abcd")).toEqual([5]);
    expect(tokenizer.encode("aba")).toEqual([4, 3]);
    expect(tokenizer.encode("é\u0000\\\t\r'")).toEqual([9, 1, 6, 10]);
  });

  it("drops bytes that no token covers", () => {
    expect(tokenizer.encode("abc")).toEqual([4]);
  });

  it("decodes escapes to the bytes they stand for", () => {
    expect([...tokenizer.tokenBytes(7)]).toEqual([0xc3]);
    expect(tokenizer.decode([7, 8, 2, 6])).toBe("é\n\\");
  });
});
