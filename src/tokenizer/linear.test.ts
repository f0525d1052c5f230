/** Megabytes of the worst text: every tokenizer stays linear. Bounds are ten times the second that a text may take. */
import { describe, expect, it } from "vitest";
import { packStrings } from "../bytes/packed-strings.ts";
import { handMadeBpe, handMadeSpm, handMadeWordPiece } from "./hand-made.fixture.ts";
import { findPreTokenizer, preTokenizerNames, splitWords } from "./pretokenizers.ts";
import { TOKEN_TYPE } from "./spec.ts";
import { createTokenizer } from "./tokenizer.ts";
import { codePointsOf } from "./unicode.ts";

const MIB = 2 ** 20;
const BOUND_MS = 10_000;

const TEXTS: Readonly<Record<string, string>> = {
  spaces: " ".repeat(MIB),
  "spaces and a letter": `${" ".repeat(MIB)}a`,
  a: "a".repeat(MIB),
  "combining marks": "\u0301".repeat(MIB),
  é: "é".repeat(MIB),
  newlines: "\n".repeat(MIB),
  "spaces and newlines": " \n".repeat(MIB / 2),
  capitals: `é${"A".repeat(MIB)}`,
  "parts of special tokens": "<|eot_id|".repeat(MIB / 9),
  mixed: "Hello é 日本語 12345 \u0301 \n\n  x'll 😀 …; ".repeat(MIB / 40),
};

const MERGES = ["Ġ Ġ", "ĠĠ ĠĠ", "a a", "aa aa", "Ã ©", "Ã©Ã ©", "Ì ģ", "Ċ Ċ", "é Ã"];
const PIECES = [
  ["▁", -1],
  ["▁▁", -2],
  ["▁▁▁▁", -2],
  ["a", -3],
  ["aa", -3],
  ["aaaa", -5],
  ["é", -1],
  ["éé", -4],
  ["\n", -1],
] as const;

const TOKENIZERS = {
  "BPE, llama-bpe": createTokenizer(handMadeBpe(MERGES, { pre: "llama-bpe" })),
  "BPE, gpt-2": createTokenizer(handMadeBpe(MERGES)),
  SentencePiece: createTokenizer(handMadeSpm(PIECES)),
  WordPiece: createTokenizer(handMadeWordPiece(["▁a", "a", "aa", "▁e", "e", "▁hello"])),
};

describe.each(Object.entries(TEXTS))("1 MiB of %s", (_, text) => {
  it.each(Object.entries(TOKENIZERS))("%s", (_name, tokenizer) => {
    const start = performance.now();
    const ids = tokenizer.encode(text, { special: true });
    expect(performance.now() - start).toBeLessThan(BOUND_MS);
    if (tokenizer.spec.model !== "wordpiece") expect(tokenizer.decode(ids) === text).toBe(true);
  });

  it("every pre-tokeniser", () => {
    const points = codePointsOf(text.slice(0, MIB / 8));
    const start = performance.now();
    const all = new Set(preTokenizerNames().map((name) => findPreTokenizer(name)!));
    for (const pre of all) expect(splitWords(pre, points).at(-1)).toBe(points.length);
    expect(performance.now() - start).toBeLessThan(BOUND_MS);
  });
});

describe("vocabularies made to be slow", () => {
  it("special tokens that begin with each other, or are a megabyte long", () => {
    const texts = [...Array.from({ length: 300 }, (_, i) => "a".repeat(i + 1)), "a".repeat(MIB), `b${"a".repeat(1000)}`];
    const tokens = packStrings(texts);
    const tokenizer = createTokenizer(handMadeBpe([], { tokens, types: new Int32Array(texts.length).fill(TOKEN_TYPE.control) }));
    const start = performance.now();
    expect(tokenizer.encode("a".repeat(MIB), { special: true })).toHaveLength(Math.ceil(MIB / 300));
    const guarded = tokenizer.guardUserText("a".repeat(MIB / 8), "\ufdd0");
    expect(tokenizer.encodeTemplate(guarded, "\ufdd0")).toEqual([]);
    expect(performance.now() - start).toBeLessThan(BOUND_MS);
  });

  it("pieces of every length", () => {
    const pieces = [["▁", -1] as const, ...Array.from({ length: 1500 }, (_, i) => ["a".repeat(i + 1), -i] as const)];
    const start = performance.now();
    const text = "a".repeat(MIB / 4);
    const spm = createTokenizer(handMadeSpm(pieces));
    expect(spm.decode(spm.encode(text)) === text).toBe(true);
    const wordPiece = createTokenizer(handMadeWordPiece(pieces.map(([piece]) => piece)));
    expect(wordPiece.encode(`${text}!`).length).toBeGreaterThan(0);
    expect(performance.now() - start).toBeLessThan(BOUND_MS);
  });
});
