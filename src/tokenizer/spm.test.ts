import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { handMadeSpm } from "./hand-made.fixture.ts";
import { TOKEN_TYPE } from "./spec.ts";
import { createTokenizer } from "./tokenizer.ts";

const PIECES = [
  ["▁a", -1],
  ["ab", -2],
  ["▁ab", -3],
  ["bc", -2],
  ["▁", -10],
  ["a", -11],
  ["b", -12],
  ["c", -13],
  ["/", -13],
  ["s", -13],
  ["<", -13],
  [">", -13],
  ["</", -4],
  ["s>", -4],
] as const;

function pieces(text: string, changes = {}): string[] {
  const tokenizer = createTokenizer(handMadeSpm(PIECES, changes));
  return tokenizer.encode(text).map((id) => tokenizer.piece(id));
}

describe("SentencePiece", () => {
  it("merges the best score first, leftmost among equals", () => {
    // "bc" (-2) comes before "▁ab" (-3).
    expect(pieces("abc")).toEqual([" a", "bc"]);
    expect(pieces("abb")).toEqual([" ab", "b"]);
    expect(pieces("babc", { addSpacePrefix: false })).toEqual(["b", "ab", "c"]);
    expect(pieces("abc", { addSpacePrefix: false })).toEqual(["ab", "c"]);
  });

  it("falls back to byte tokens, then to unk", () => {
    const tokenizer = createTokenizer(handMadeSpm(PIECES));
    expect(tokenizer.encode("aé")).toEqual([259, 3 + 0xc3, 3 + 0xa9]);
    const types = Int32Array.from({ length: 3 }, () => TOKEN_TYPE.normal);
    const bare = handMadeSpm([["▁", -1]]);
    const cut = { bytes: bare.tokens.bytes.slice(0, bare.tokens.offsets[3]!), offsets: bare.tokens.offsets.slice(0, 4) };
    expect(createTokenizer({ ...bare, tokens: cut, types, scores: null, addSpacePrefix: false }).encode("é")).toEqual([0, 0]);
  });

  it("never makes a control or byte token out of text", () => {
    expect(pieces("</s>", { addSpacePrefix: false })).toEqual(["</", "s>"]);
    const tokenizer = createTokenizer(handMadeSpm(PIECES));
    expect(tokenizer.decode(tokenizer.encode("<0x41>"))).toBe("<0x41>");
  });

  it("puts a space before the text and behind special tokens only", () => {
    const tokenizer = createTokenizer(handMadeSpm(PIECES));
    const texts = (text: string): string[] => tokenizer.encode(text, { special: true }).map((id) => tokenizer.piece(id));
    expect(texts("ab</s>ab")).toEqual([" ab", "</s>", " ab"]);
    expect(tokenizer.encode("")).toEqual([]);
    expect(tokenizer.encode("", { addSpecial: true })).toEqual([1]);
  });

  it("collapses spaces where the file asks for it", () => {
    expect(pieces("  ab   ab ", { removeExtraWhitespaces: true })).toEqual([" ab", " ab"]);
    expect(pieces("   ", { removeExtraWhitespaces: true })).toEqual([]);
  });

  it("decodes what it encodes, and the first space goes as llama.cpp's detokeniser has it", () => {
    const tokenizer = createTokenizer(handMadeSpm(PIECES));
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "b", "c", " ", "é", "😀", "\n", "<", "/", "s", ">"), maxLength: 60 }),
        (text) => {
          expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
        },
      ),
    );
    const ids = tokenizer.encode("ab");
    expect(tokenizer.decode(ids)).toBe("ab");
    expect(tokenizer.decode(ids, { isContinuation: true })).toBe(" ab");
    expect(tokenizer.decode([1, ...ids])).toBe(" ab");
  });

  it("takes equal scores from the left", () => {
    const spec = handMadeSpm(
      [
        ["a", 0],
        ["aa", 0],
        ["aaa", 0],
      ],
      { addSpacePrefix: false },
    );
    const tokenizer = createTokenizer(spec);
    // 0+1, then 0+2, since its place is the lowest; then the same again.
    expect(tokenizer.encode("aaaaa").map((id) => tokenizer.piece(id))).toEqual(["aaa", "aa"]);
    expect(tokenizer.encode("a".repeat(50)).map((id) => tokenizer.piece(id).length)).toEqual([...Array(16).fill(3), 2]);
  });
});
