/**
 * Which scanners cut text before BPE, by the name in `tokenizer.ggml.pre`. A new name is one line in PRETOKENIZERS.
 * Names, expressions, `ignore_merges` and the default of `add_bos`: src/llama-vocab.cpp, `llama_vocab::impl::load` and
 * `llm_tokenizer_bpe`, github.com/ggml-org/llama.cpp @00ad355e009e83abf98f96a6ded7193b95763681. Left out: names whose
 * expressions look ahead over whole words (superbpe, tiny_aya, exaone-moe, afmoe) or need their own vocabulary (kimi-k2).
 */
import { type Scanner, scanCased, scanDeepseek3, scanGpt2, scanLlama3, scanRuns } from "./scanners.ts";
import { CLASS, type CodePoints } from "./unicode.ts";

export interface PreTokenizer {
  /** Applied one after another: each cuts the words of the one before. */
  readonly scanners: readonly Scanner[];
  /** A whole word that is a token is that token, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Default of `tokenizer.ggml.add_bos_token`. */
  readonly addBos: boolean;
}

const { letter, number, mark, punctuation } = CLASS;
const isNumber = (_: number, kind: number): boolean => kind === number;
const isDigit = (point: number): boolean => point >= 0x30 && point <= 0x39;
/** `$+<=>^~|`, which are symbols and not \p{P}. */
const SIGNS = pointsOf("$+<=>^~|");
const isSign = (point: number): boolean => SIGNS.has(point);
/** `[一-龥ࠀ-一가-퟿]` */
const isDeepseekAsian = (point: number): boolean => (point >= 0x800 && point <= 0x9fa5) || (point >= 0xac00 && point <= 0xd7ff);
/** `[一-龥぀-ゟ゠-ヿ]` */
const isHanOrKana = (point: number): boolean => (point >= 0x4e00 && point <= 0x9fa5) || (point >= 0x3040 && point <= 0x30ff);
/** `[^(\s|.,!?…。，、।۔،)]`: a class, so the brackets and the bar are members. */
const BLOOM_BREAKS = pointsOf("(|.,!?…。，、।۔،)");
const isBloomWord = (point: number, kind: number): boolean => kind !== CLASS.space && !BLOOM_BREAKS.has(point);

const digitsOne = scanRuns(isNumber, { max: 1 });
const digitsThree = scanRuns(isNumber, { max: 3 });

const gpt2 = plain(scanGpt2);
const llama3: PreTokenizer = { scanners: [scanLlama3({ maxDigits: 3 })], ignoreMerges: true, addBos: true };
const llama3Plain = plain(scanLlama3({ maxDigits: 3 }));
const qwen2 = plain(scanLlama3({ maxDigits: 1 }));
const starcoder = plain(digitsOne, scanGpt2);
const deepseek3 = plain(digitsThree, scanRuns(isHanOrKana), scanDeepseek3);
const bloom = plain(scanRuns(isBloomWord, { lead: "space" }));
const gpt4o = plain(scanCased({ maxDigits: 3, contractions: true }));

const PRETOKENIZERS: readonly (readonly [names: string, PreTokenizer])[] = [
  [
    "default",
    plain(
      scanRuns((point, kind) => kind === punctuation || isSign(point)),
      scanGpt2,
      scanRuns(isNumber),
      scanRuns(isDigit, { min: 3, max: 3 }),
    ),
  ],
  ["llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", llama3],
  ["dbrx smaug-bpe glm4 chatglm-bpe", llama3Plain],
  ["qwen2 deepseek-r1-qwen kormo f2llmv2 stablelm2 megrez hunyuan solar-open grok-2 bailingmoe bailingmoe2 llada-moe", qwen2],
  ["qwen35", plain(scanLlama3({ maxDigits: 1, word: letter | mark }))],
  ["ufakzeka", plain(scanLlama3({ maxDigits: 1, contractions: false }))],
  ["seed-coder", plain(scanLlama3({ maxDigits: 1, newlineTail: false }))],
  [
    "gpt-2 phi-2 jina-es jina-de jina-v1-en jina-v2-es jina-v2-de jina-v2-code roberta-bpe gigachat a.x-4.0 mellum modern-bert " +
      "mpt olmo jais trillion granite-docling exaone4",
    gpt2,
  ],
  ["starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", starcoder],
  [
    "falcon",
    plain(
      scanRuns((point, kind) => kind === punctuation || isSign(point) || point === 0x60),
      scanGpt2,
      scanRuns(isDigit, { min: 3, max: 3 }),
    ),
  ],
  ["deepseek-v3 hunyuan-dense joyai-llm hy_v4", deepseek3],
  [
    "deepseek-coder",
    plain(
      scanRuns((point) => point === 10 || point === 13, { max: 1 }),
      scanRuns((_, kind) => kind === letter, { lead: "white-space" }),
      scanRuns((_, kind) => kind === punctuation, { lead: "white-space" }),
      scanRuns(isDeepseekAsian),
      digitsOne,
    ),
  ],
  ["bloom poro-chat gpt3-finnish", bloom],
  ["viking", plain(...bloom.scanners, digitsOne)],
  ["gpt-4o llama4 kanana2 talkie minimax-m2", gpt4o],
  ["tekken", { scanners: [scanCased({ maxDigits: 1, contractions: false })], ignoreMerges: true, addBos: true }],
];

const BY_NAME: ReadonlyMap<string, PreTokenizer> = new Map(
  PRETOKENIZERS.flatMap(([names, pre]) => names.split(" ").map((name) => [name, pre] as const)),
);

function pointsOf(chars: string): ReadonlySet<number> {
  return new Set(Array.from(chars, (char) => char.codePointAt(0)!));
}

function plain(...scanners: Scanner[]): PreTokenizer {
  return { scanners, ignoreMerges: false, addBos: false };
}

/** The pre-tokeniser of that name, or undefined. */
export function findPreTokenizer(name: string): PreTokenizer | undefined {
  return BY_NAME.get(name);
}

/** Every name that `findPreTokenizer` knows. */
export function preTokenizerNames(): string[] {
  return [...BY_NAME.keys()];
}

/** Ends of the words of `text`, ascending; the last is its length. */
export function splitWords(pre: PreTokenizer, text: CodePoints): readonly number[] {
  let ends: number[] = text.length > 0 ? [text.length] : [];
  for (const scan of pre.scanners) {
    const cut: number[] = [];
    let start = 0;
    for (const end of ends) {
      scan(text, start, end, cut);
      start = end;
    }
    ends = cut;
  }
  return ends;
}
