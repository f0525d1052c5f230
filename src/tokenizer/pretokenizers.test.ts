import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findPreTokenizer, preTokenizerNames, splitWords } from "./pretokenizers.ts";
import { codePointsOf } from "./unicode.ts";

/** Words that `name` cuts `text` into. */
function words(name: string, text: string): string[] {
  const points = codePointsOf(text);
  let start = 0;
  return splitWords(findPreTokenizer(name)!, points).map((end) => {
    const word = String.fromCodePoint(...points.points.subarray(start, end));
    start = end;
    return word;
  });
}

/** The same by regular expressions, one after another; what none matches is a word of its own. */
function wordsByRegex(sources: readonly string[], text: string): string[] {
  let parts = text === "" ? [] : [text];
  for (const source of sources) {
    const pattern = new RegExp(source.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}"), "gu");
    parts = parts.flatMap((part) => {
      const cut: string[] = [];
      let from = 0;
      for (const match of part.matchAll(pattern)) {
        if (match.index > from) cut.push(part.slice(from, match.index));
        cut.push(match[0]);
        from = match.index + match[0].length;
      }
      if (from < part.length) cut.push(part.slice(from));
      return cut;
    });
  }
  return parts;
}

const CONTRACTION = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const BLANKS = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const llama3 = (digits: string): string =>
  `(?:${CONTRACTION})|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${BLANKS}`;
const cased = (digits: string, tail: string): string => {
  const upper = "(?:(?=\\p{L})[^a-z])";
  const small = "(?:(?=\\p{L})[^A-Z])";
  const lead = "[^\\r\\n\\p{L}\\p{N}]?";
  return `${lead}${upper}*${small}+${tail}|${lead}${upper}+${small}*${tail}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${BLANKS}`;
};

const EXPRESSIONS: Readonly<Record<string, readonly string[]>> = {
  "gpt-2": [GPT2],
  "llama-bpe": [llama3("\\p{N}{1,3}")],
  qwen2: [llama3("\\p{N}")],
  qwen35: [`(?:${CONTRACTION})|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${BLANKS}`],
  "seed-coder": [`(?:${CONTRACTION})|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${BLANKS}`],
  default: ["[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"],
  falcon: ["[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"],
  smollm: ["\\p{N}", GPT2],
  "deepseek-v3": [
    "\\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    `[!"#$%&'()*+,\\-.\\/:;<=>?@\\[\\\\\\]^_\`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${BLANKS}`,
  ],
  "deepseek-coder": ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}"],
  bloom: [" ?[^(\\s|.,!?…。，、।۔،)]+"],
  "gpt-4o": [cased("\\p{N}{1,3}", `(?:${CONTRACTION})?`)],
  tekken: [cased("\\p{N}", "")],
};

/** Text of the characters that the expressions tell apart, in runs. */
const hostileText = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        ..." '\n\r\t\u00a0\u3000\u0085aAsStTlLrRvVeEmMdDxéÉßあ日가12٣½²\u0301\u0300.,!?/$+<`|(。\u0000\u200b\ufeff😀𝒜\u{e0001}\u0378",
      ),
      fc.constantFrom(1, 1, 1, 2, 3, 5),
    ),
    { maxLength: 14 },
  )
  .map((runs) => runs.map(([char, count]) => char.repeat(count)).join(""));

describe("pre-tokenisers", () => {
  it.each(Object.keys(EXPRESSIONS))("%s cuts as its regular expressions do", (name) => {
    fc.assert(
      fc.property(fc.oneof(hostileText, fc.string({ unit: "binary", maxLength: 30 }).map(wellFormed)), (text) => {
        expect(words(name, text)).toEqual(wordsByRegex(EXPRESSIONS[name]!, text));
      }),
      { numRuns: 2000 },
    );
  });

  it("loses nothing, whatever the name", () => {
    const text = "I'LL pay 12345 €uros…\r\n\r\n  日本語 a\u0301\t x\u0000y  ";
    for (const name of preTokenizerNames()) expect(words(name, text).join(""), name).toBe(text);
  });

  it("cuts a sentence as the Llama 3 and GPT-2 papers show", () => {
    expect(words("llama-bpe", "It's 12345 o'clock!!\n\n  Go")).toEqual([
      "It",
      "'s",
      " ",
      "123",
      "45",
      " o",
      "'clock",
      "!!\n\n",
      " ",
      " Go",
    ]);
    expect(words("gpt-2", "It's 12345  Go")).toEqual(["It", "'s", " 12345", " ", " Go"]);
    expect(words("qwen2", "12")).toEqual(["1", "2"]);
  });

  it("knows no name by accident", () => {
    expect(findPreTokenizer("constructor")).toBeUndefined();
    expect(findPreTokenizer("")).toBeUndefined();
    expect(new Set(preTokenizerNames()).size).toBe(preTokenizerNames().length);
  });

  it("takes lone surrogates for U+FFFD", () => {
    expect(words("gpt-2", "a\ud800b\udc00\ud83d\ude00")).toEqual(["a", "\ufffd", "b", "\ufffd😀"]);
  });
});

function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}
