import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { packStrings } from "../bytes/packed-strings.ts";
import { handMadeBpe, naiveBpe } from "./hand-made.fixture.ts";
import { TOKEN_TYPE } from "./spec.ts";
import { createTokenizer } from "./tokenizer.ts";

const MERGES = ["a b", "b c", "ab c", "c ab", "a a", "aa aa", "aaaa aa", "Ġ a", "Ġ Ġ", "ĠĠ ĠĠ", "bc abc", "aa b"];

/** Texts of the ids of `text`. */
function pieces(text: string, merges: readonly string[] = MERGES, changes = {}): string[] {
  const tokenizer = createTokenizer(handMadeBpe(merges, changes));
  return tokenizer.encode(text).map((id) => tokenizer.piece(id));
}

describe("byte-level BPE", () => {
  it("merges by rank, leftmost first", () => {
    expect(pieces("abc")).toEqual(["abc"]);
    expect(pieces("bcab")).toEqual(["bc", "ab"]);
    expect(pieces("aaaaa")).toEqual(["aaaa", "a"]);
    expect(pieces("x aab")).toEqual(["x", " a", "ab"]);
  });

  it("agrees with merging by hand, on short words and on long ones", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 90 });
    fc.assert(
      fc.property(
        word,
        fc.uniqueArray(fc.constantFrom(...MERGES.filter((merge) => !merge.includes("Ġ"))), { minLength: 1 }),
        (text, merges) => {
          expect(pieces(text, merges)).toEqual(naiveBpe([...text], merges));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("takes a whole word that is a token when the pre-tokeniser says so", () => {
    const merges = ["c a", "a t", "ca t"];
    // "cat" has a token only through "ca t"; without the merge "c a" the merges end at c, at.
    const changes = { merges: packStrings(["a t"]) };
    expect(pieces("cat", merges, { ...changes, pre: "gpt-2" })).toEqual(["c", "at"]);
    expect(pieces("cat", merges, { ...changes, pre: "llama-bpe" })).toEqual(["cat"]);
  });

  it("writes a merged text that is no token as its bytes", () => {
    const merges = { merges: packStrings(["x y", "xy z", "é é"]) };
    expect(pieces("xyz", [], merges)).toEqual(["x", "y", "z"]);
    const tokenizer = createTokenizer(handMadeBpe([], { merges: packStrings(["Ã ©"]) }));
    expect(tokenizer.encode("é")).toEqual([0xc3, 0xa9]);
  });

  it("passes through an intermediate text that is no token", () => {
    const spec = handMadeBpe(["x yz"], { merges: packStrings(["y z", "x yz"]) });
    const tokenizer = createTokenizer(spec);
    expect(tokenizer.encode("xyz").map((id) => tokenizer.piece(id))).toEqual(["xyz"]);
  });

  it("counts the first of equal merges", () => {
    expect(pieces("abc", ["a b", "b c"], { merges: packStrings(["a b", "b c", "a b"]) })).toEqual(["ab", "c"]);
  });

  it("survives merges that are damaged", () => {
    const merges = ["ab", "", " ", "a ", " a", "a a", "a a", "\u0000 a", "日 本", "aa a", "a aa", "ab ab ab"];
    const tokenizer = createTokenizer(handMadeBpe([], { merges: packStrings(merges) }));
    expect(tokenizer.decode(tokenizer.encode("aaaa ab 日本"))).toBe("aaaa ab 日本");
  });

  it("never makes a control token out of text", () => {
    const spec = handMadeBpe(["u v", "uv w"]);
    spec.types![257] = TOKEN_TYPE.control;
    const tokenizer = createTokenizer(spec);
    expect(tokenizer.encode("uv").map((id) => tokenizer.piece(id))).toEqual(["uv"]);
    expect(tokenizer.encode("uvw").map((id) => tokenizer.piece(id))).toEqual(["u", "v", "w"]);
  });

  it("uses the lowest of equal tokens", () => {
    const tokens = packStrings(["a", "b", "ab", "ab"]);
    const spec = handMadeBpe([], { tokens, types: null, merges: packStrings(["a b"]) });
    expect(createTokenizer(spec).encode("abab")).toEqual([2, 2]);
  });

  it("gives unk, or nothing, for a byte without a token", () => {
    const tokens = packStrings(["a", "b"]);
    const spec = handMadeBpe([], { tokens, types: null, bosId: null, eosId: null, eogIds: [] });
    expect(createTokenizer(spec).encode("abc")).toEqual([0, 1]);
    expect(createTokenizer({ ...spec, unkId: 1 }).encode("ca")).toEqual([1, 0]);
  });
});
