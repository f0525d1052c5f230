import { describe, expect, it } from "vitest";
import { handMadeWordPiece } from "./hand-made.fixture.ts";
import { createTokenizer } from "./tokenizer.ts";

const PIECES = ["▁un", "▁aff", "able", "▁hello", "▁fuhrer", "▁,", "▁日", "▁本", "▁a", "a", "▁$", "▁É", "ff", "▁x"];

function pieces(text: string, changes = {}): string[] {
  const tokenizer = createTokenizer(handMadeWordPiece(PIECES, changes));
  return tokenizer.encode(text).map((id) => tokenizer.piece(id).trim());
}

describe("WordPiece", () => {
  it("takes the longest piece first", () => {
    expect(pieces("unable affable")).toEqual(["un", "able", "aff", "able"]);
  });

  it("writes a word that does not come out whole as one unk", () => {
    expect(pieces("hello unknown hello")).toEqual(["hello", "[UNK]", "hello"]);
  });

  it("lower-cases, strips accents, and drops controls", () => {
    expect(pieces("HÉLLO Führer\u0000 he\u200bllo\u0301 \ufffd")).toEqual(["hello", "fuhrer", "hello"]);
    expect(pieces("É é", { lowercase: false, stripAccents: false })).toEqual(["É", "[UNK]"]);
  });

  it("separates punctuation, ASCII symbols and ideographs", () => {
    expect(pieces("hello,hello$日本")).toEqual(["hello", ",", "hello", "$", "日", "本"]);
  });

  it("puts [CLS] and [SEP] around a text", () => {
    const tokenizer = createTokenizer(handMadeWordPiece(PIECES));
    expect(tokenizer.encode("hello", { addSpecial: true })).toEqual([2, 8, 3]);
    expect(tokenizer.encode("", { addSpecial: true })).toEqual([2, 3]);
    expect(tokenizer.encode("hello[SEP]hello", { special: true })).toEqual([8, 3, 8]);
  });

  it("decodes words with single spaces", () => {
    const tokenizer = createTokenizer(handMadeWordPiece(PIECES));
    expect(tokenizer.decode(tokenizer.encode("Unable hello", { addSpecial: true }).slice(1))).toBe("unable hello");
  });
});
