/**
 * Reads `tokenizer.ggml.*` into a TokenizerSpec: checks everything that the algorithms rely on, resolves what files leave out.
 * Source of keys, defaults and overrides: src/llama-vocab.cpp, `llama_vocab::impl::load`, github.com/ggml-org/llama.cpp
 * @00ad355e009e83abf98f96a6ded7193b95763681. Damage that changes ids is a GgufError at the key; what only costs a token is a warning.
 * Decisions: an id of 2^32 - 1 or -1 means "none" (converters write it), any other id outside the vocabulary counts as absent;
 * token texts that are not UTF-8 are legal, because texts are bytes to the algorithms; of equal texts the lowest id is used.
 */
import { type PackedStrings, packedBytes, packedCount } from "../bytes/packed-strings.ts";
import { GgufError, UnsupportedError } from "../errors.ts";
import { type GgufMetadata, quoted, typeText } from "../gguf/metadata.ts";
import { MAX_RANKS } from "../tokenizer/merger.ts";
import { findPreTokenizer, preTokenizerNames } from "../tokenizer/pretokenizers.ts";
import { TOKEN_TYPE, type TokenizerModel, type TokenizerSpec } from "../tokenizer/spec.ts";
import { byteTokenValue } from "../tokenizer/token-bytes.ts";
import { TokenTable } from "../tokenizer/token-table.ts";
import { eogIds, overrideTypes, stripRules } from "./special-token-rules.ts";

export interface TokenizerSpecOptions {
  /** Pre-tokeniser to use instead of what the file says. */
  readonly pre?: string | undefined;
}

const MODELS: ReadonlyMap<string, TokenizerModel> = new Map([
  ["gpt2", "bpe"],
  ["llama", "spm"],
  ["bert", "wordpiece"],
  ["rwkv", "rwkv"],
]);

/** Ids that a vocabulary of the kind has unless its file says otherwise; llama.cpp's, without Falcon's 11 for "gpt2". */
const DEFAULT_IDS: Readonly<Record<TokenizerModel, Readonly<Record<string, number>>>> = {
  bpe: {},
  spm: { bos: 1, eos: 2, unk: 0 },
  wordpiece: { cls: 101, unk: 100, sep: 102, pad: 0, mask: 103 },
  rwkv: {},
};

/** Longest text that the matchers look for, in bytes (spm.ts, special-tokens.ts). */
const MAX_MATCHED_BYTES = 1024;

/** Architectures of BitNet files, which are written without `pre`. */
const BITNET_ARCHITECTURES: ReadonlySet<string> = new Set(["bitnet", "bitnet-25", "bitnet-b1.58"]);
const LLAMA3_VOCABULARY = 128_256;

/**
 * Vocabularies whose pre-tokeniser is known, by their ordinary tokens: how many, and FNV-1a of the texts back to back. Conversions
 * order merges differently, never these. Computed from the three vocabularies as llama.cpp's converter writes them.
 */
const KNOWN_VOCABULARIES: readonly { readonly nTokens: number; readonly hash: number; readonly pre: string }[] = [
  { nTokens: 128_000, hash: 1_965_865_833, pre: "llama-bpe" },
  { nTokens: 151_643, hash: 1_903_210_952, pre: "qwen2" },
  { nTokens: 50_256, hash: 4_073_543_812, pre: "gpt-2" },
];

/**
 * The tokenizer of a file, and what its reader should know.
 * @throws GgufError `tokenizer-missing`, `tokenizer-scores`, `tokenizer-types`, `tokenizer-merges`, `tokenizer-id`, `gguf-key-type`;
 * UnsupportedError `tokenizer-model`, `tokenizer-pre`.
 */
export function tokenizerSpec(
  metadata: GgufMetadata,
  architecture: string,
  options: TokenizerSpecOptions = {},
): { spec: TokenizerSpec; warnings: string[] } {
  const reader = new SpecReader(metadata);
  const model = reader.model();
  const tokens = reader.tokens();
  const nVocab = packedCount(tokens);
  const table = new TokenTable(tokens, () => true);
  reader.checkTokens(tokens, table);
  const types = reader.types(nVocab);
  overrideTypes(types, table);
  const merges = model === "bpe" ? reader.merges() : null;
  const pre = model === "bpe" ? reader.pre(architecture, tokens, options.pre) : null;
  const scores = reader.scores(nVocab);
  if (model === "spm" && scores === null) reader.warn("'tokenizer.ggml.scores' is missing: all merges count the same");
  if (model === "spm") reader.checkByteTokens(tokens, types);
  const defaults = DEFAULT_IDS[model];
  const id = (key: string, name: string): number | null => reader.id(key, nVocab, defaults[name] ?? null);
  const bosId = id("bos_token_id", "bos");
  const eosId = id("eos_token_id", "eos");
  const sepId = id("seperator_token_id", "sep");
  const clsId = id("cls_token_id", "cls");
  const isWordPiece = model === "wordpiece";
  const addsBos = reader.flag("add_bos_token") ?? (pre === null ? model === "spm" : findPreTokenizer(pre)!.addBos);
  const spec: TokenizerSpec = {
    model,
    pre,
    tokens,
    scores,
    types,
    merges,
    bosId,
    eosId,
    unkId: id("unknown_token_id", "unk"),
    sepId,
    padId: id("padding_token_id", "pad"),
    clsId,
    maskId: id("mask_token_id", "mask"),
    eogIds: eogIds(types, table, [
      eosId,
      ...["eot_token_id", "eom_token_id", "fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"].map((key) => id(key, "")),
    ]),
    // Whatever the flags of a WordPiece file say, llama.cpp writes [CLS] text [SEP].
    addBos: isWordPiece ? (bosId ?? clsId) !== null : reader.addable("BOS", addsBos, bosId),
    addEos: isWordPiece ? (sepId ?? eosId) !== null : reader.addable("EOS", reader.flag("add_eos_token") ?? false, eosId),
    addSpacePrefix: reader.flag("add_space_prefix") ?? model === "spm",
    removeExtraWhitespaces: reader.flag("remove_extra_whitespaces") ?? false,
    lowercase: reader.flag("normalizer.lowercase") ?? true,
    stripAccents: reader.flag("normalizer.strip_accents") ?? reader.flag("normalizer.lowercase") ?? true,
    ...stripRules(types, table, {
      architecture,
      name: metadata.has("general.name") ? (metadata.string("general.name") ?? "") : "",
      pre: metadata.has("tokenizer.ggml.pre") ? (metadata.string("tokenizer.ggml.pre") ?? "") : "",
    }),
  };
  return { spec, warnings: reader.warnings };
}

/** Getters for `tokenizer.ggml.*` that check and collect warnings. */
class SpecReader {
  readonly warnings: string[] = [];
  readonly #metadata: GgufMetadata;

  constructor(metadata: GgufMetadata) {
    this.#metadata = metadata;
  }

  warn(message: string): void {
    this.warnings.push(`tokenizer: ${message}`);
  }

  model(): TokenizerModel {
    const name = this.#metadata.string("tokenizer.ggml.model");
    if (name === undefined) throw this.#missing("model");
    const model = MODELS.get(name);
    if (model !== undefined) return model;
    const supported = [...MODELS.keys()];
    throw new UnsupportedError(
      "tokenizer-model",
      `tokenizer: model ${quoted(name)} in 'tokenizer.ggml.model' is not supported; must be one of ${supported.join(", ")}`,
      { data: { found: name, supported } },
    );
  }

  tokens(): PackedStrings {
    const tokens = this.#metadata.strings("tokenizer.ggml.tokens");
    if (tokens === undefined) throw this.#missing("tokens");
    if (packedCount(tokens) === 0) throw this.#error("tokenizer-missing", "tokens", "has no tokens; needs at least one");
    return tokens;
  }

  checkTokens(tokens: PackedStrings, table: TokenTable): void {
    const n = packedCount(tokens);
    let nEmpty = 0;
    let nLong = 0;
    for (let id = 0; id < n; id++) {
      const length = tokens.offsets[id + 1]! - tokens.offsets[id]!;
      if (length === 0) nEmpty++;
      else if (length > MAX_MATCHED_BYTES) nLong++;
    }
    if (nEmpty > 0) this.warn(`${nEmpty} tokens are empty; they never come from text`);
    if (nLong > 0) this.warn(`${nLong} tokens are longer than ${MAX_MATCHED_BYTES} bytes; they may never come from text`);
    if (table.firstDuplicate >= 0) {
      const text = new TextDecoder().decode(packedBytes(tokens, table.firstDuplicate).slice(0, 80));
      this.warn(`token ${table.firstDuplicate} (${quoted(text)}) has the text of a lower id, which is used for it`);
    }
  }

  /** [nVocab], a copy that may be changed; values that ggml does not know become `undefined`. */
  types(nVocab: number): Int32Array {
    const types = new Int32Array(nVocab).fill(TOKEN_TYPE.normal);
    const entry = this.#metadata.entry("tokenizer.ggml.token_type");
    if (entry === undefined) return types;
    if (entry.elementType !== "i32" && entry.elementType !== "u32") {
      throw this.#error("tokenizer-types", "token_type", `is ${typeText(entry)}; must be array of i32`);
    }
    const values = this.#metadata.numbers("tokenizer.ggml.token_type")!;
    this.#checkLength("tokenizer-types", "token_type", values.length, nVocab);
    let nUnknown = 0;
    for (let id = 0; id < nVocab; id++) {
      const type = values[id]!;
      const isKnown = type >= 0 && type <= TOKEN_TYPE.byte;
      if (!isKnown) nUnknown++;
      types[id] = isKnown ? type : TOKEN_TYPE.undefined;
    }
    if (nUnknown > 0) this.warn(`${nUnknown} tokens have a type outside 0..${TOKEN_TYPE.byte}; they decode to nothing`);
    return types;
  }

  scores(nVocab: number): Float32Array | null {
    const entry = this.#metadata.entry("tokenizer.ggml.scores");
    if (entry === undefined) return null;
    if (entry.elementType !== "f32" && entry.elementType !== "i32") {
      throw this.#error("tokenizer-scores", "scores", `is ${typeText(entry)}; must be array of f32`);
    }
    const values = this.#metadata.numbers("tokenizer.ggml.scores")!;
    this.#checkLength("tokenizer-scores", "scores", values.length, nVocab);
    const scores =
      values instanceof Float32Array && values.length === nVocab ? values : Float32Array.from(values.subarray(0, nVocab));
    const nan = scores.findIndex(Number.isNaN);
    if (nan >= 0) throw this.#error("tokenizer-scores", "scores", `has NaN at ${nan}; must be numbers`);
    return scores;
  }

  merges(): PackedStrings {
    const merges = this.#metadata.strings("tokenizer.ggml.merges");
    if (merges === undefined) throw this.#missing("merges");
    const n = packedCount(merges);
    if (n >= MAX_RANKS) throw this.#error("tokenizer-merges", "merges", `has ${n} merges; must be fewer than ${MAX_RANKS}`);
    const { bytes, offsets } = merges;
    let nBroken = 0;
    let firstBroken = -1;
    for (let i = 0; i < n; i++) {
      const end = offsets[i + 1]!;
      let at = offsets[i]! + 1;
      while (at < end && bytes[at] !== 0x20) at++;
      if (at < end - 1) continue;
      nBroken++;
      if (firstBroken < 0) firstBroken = i;
    }
    if (nBroken > 0)
      this.warn(`${nBroken} merges are not two texts with a space between (first: ${firstBroken}); they are ignored`);
    return merges;
  }

  pre(architecture: string, tokens: PackedStrings, override: string | undefined): string {
    const found = override ?? this.#metadata.string("tokenizer.ggml.pre");
    if (found !== undefined && found !== "") {
      if (findPreTokenizer(found) !== undefined) return found;
      throw unsupportedPre(`pre-tokeniser ${quoted(found)} is not supported`, found);
    }
    if (BITNET_ARCHITECTURES.has(architecture) && packedCount(tokens) === LLAMA3_VOCABULARY) {
      this.warn("'tokenizer.ggml.pre' is missing; a BitNet model with the Llama 3 vocabulary uses 'llama-bpe'");
      return "llama-bpe";
    }
    const match = KNOWN_VOCABULARIES.find(
      ({ nTokens, hash }) => packedCount(tokens) >= nTokens && textsHash(tokens, nTokens) === hash,
    );
    if (match === undefined) throw unsupportedPre("'tokenizer.ggml.pre' is missing and the vocabulary is not a known one", null);
    this.warn(`'tokenizer.ggml.pre' is missing; the tokens are those of '${match.pre}'`);
    return match.pre;
  }

  /** A special id, null = none. */
  id(key: string, nVocab: number, byDefault: number | null): number | null {
    const fallback = byDefault !== null && byDefault < nVocab ? byDefault : null;
    const value = this.#metadata.number(`tokenizer.ggml.${key}`);
    if (value === undefined) return fallback;
    if (!Number.isInteger(value)) throw this.#error("tokenizer-id", key, `is ${value}; must be a whole number`);
    if (value >= 0 && value < nVocab) return value;
    const isNone = value === -1 || value === 2 ** 32 - 1;
    this.warn(
      isNone
        ? `'tokenizer.ggml.${key}' is ${value}, which means none`
        : `'tokenizer.ggml.${key}' is ${value}, outside the ${nVocab} tokens; ${fallback === null ? "ignored" : `${fallback} is used`}`,
    );
    return isNone ? null : fallback;
  }

  flag(key: string): boolean | undefined {
    return this.#metadata.bool(`tokenizer.ggml.${key}`);
  }

  /** `wanted`, where there is a token to add. */
  addable(what: string, wanted: boolean, id: number | null): boolean {
    if (wanted && id === null) this.warn(`text should have a ${what} token, but the vocabulary names none; nothing is added`);
    return wanted && id !== null;
  }

  /** Byte tokens that are none, and bytes without one. */
  checkByteTokens(tokens: PackedStrings, types: Int32Array): void {
    const has = new Uint8Array(256);
    let nBroken = 0;
    for (let id = 0; id < types.length; id++) {
      if (types[id] !== TOKEN_TYPE.byte) continue;
      const value = byteTokenValue(tokens, id);
      if (value < 0) nBroken++;
      else has[value] = 1;
    }
    if (nBroken > 0) this.warn(`${nBroken} byte tokens are not spelled <0x00>..<0xFF>; they are ordinary text`);
    const nMissing = has.reduce((count, there) => count - there, 256);
    if (nMissing > 0) this.warn(`${nMissing} bytes have no byte token; characters outside the vocabulary may be lost`);
  }

  #checkLength(code: string, key: string, length: number, nVocab: number): void {
    if (length < nVocab) throw this.#error(code, key, `has ${length} elements; must have ${nVocab}, one a token`);
    if (length > nVocab) this.warn(`'tokenizer.ggml.${key}' has ${length} elements for ${nVocab} tokens; the rest is ignored`);
  }

  #missing(key: string): GgufError {
    return new GgufError("tokenizer-missing", `gguf: key 'tokenizer.ggml.${key}' is missing; a tokenizer needs it`, 0, {
      data: { key: `tokenizer.ggml.${key}` },
    });
  }

  #error(code: string, key: string, what: string): GgufError {
    const byteOffset = this.#metadata.entry(`tokenizer.ggml.${key}`)?.byteOffset ?? 0;
    return new GgufError(code, `gguf: key 'tokenizer.ggml.${key}' at byte ${byteOffset} ${what}`, byteOffset, {
      data: { key: `tokenizer.ggml.${key}` },
    });
  }
}

function unsupportedPre(problem: string, found: string | null): UnsupportedError {
  const supported = preTokenizerNames();
  return new UnsupportedError("tokenizer-pre", `tokenizer: ${problem}; must be one of ${supported.join(", ")}`, {
    data: { found, supported },
    hint: "Give the option `pre` with the pre-tokeniser that the model was trained with.",
  });
}

/** FNV-1a over the first `n` texts. */
function textsHash(texts: PackedStrings, n: number): number {
  const end = texts.offsets[n]!;
  let hash = 0x811c9dc5;
  for (let i = 0; i < end; i++) hash = Math.imul(hash ^ texts.bytes[i]!, 0x01000193);
  return hash >>> 0;
}
