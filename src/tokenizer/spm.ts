/**
 * SentencePiece BPE (`tokenizer.ggml.model` = "llama"): characters merge to the token with the best score, leftmost first;
 * what is left over becomes byte tokens. Source: src/llama-vocab.cpp, `llm_tokenizer_spm_session` and the SPM branch of
 * `llama_vocab::impl::tokenize`, github.com/ggml-org/llama.cpp @00ad355e009e83abf98f96a6ded7193b95763681. It differs in one
 * point, on purpose: llama.cpp lets merges arrive at control and byte tokens ("</" + "s>"), SentencePiece and this do not.
 */
import { packedCount } from "../bytes/packed-strings.ts";
import type { TextEncoderModel } from "./bpe.ts";
import { Merger, type Pairs } from "./merger.ts";
import type { TokenizerSpec } from "./spec.ts";
import { TokenTable } from "./token-table.ts";
import { utf8Length } from "./unicode.ts";

/** "▁", which stands for a space in the vocabulary. */
export const SPACE_MARK = "\u2581";

/** Longer tokens decode but never come from text: it bounds the work per character. Real ones have up to about 100 bytes. */
const MAX_TOKEN_BYTES = 1024;

const encoder = new TextEncoder();

export class Spm implements TextEncoderModel {
  readonly #spec: TokenizerSpec;
  readonly #byteIds: Int32Array;
  readonly #merger = new Merger();
  readonly #pairs: SpmPairs;

  /** `byteIds`: [256] id of each byte token, -1 = none. */
  constructor(spec: TokenizerSpec, byteIds: Int32Array, isEncodable: (id: number) => boolean) {
    this.#spec = spec;
    this.#byteIds = byteIds;
    this.#pairs = new SpmPairs(new TokenTable(spec.tokens, isEncodable, MAX_TOKEN_BYTES), rankScores(spec));
  }

  encode(text: string, ids: number[]): void {
    const collapsed = this.#spec.removeExtraWhitespaces ? collapse(text) : text;
    if (collapsed === "") return;
    // Every stretch of text is the first or follows a special token, so llama.cpp gives each its space.
    const prefixed = this.#spec.addSpacePrefix ? ` ${collapsed}` : collapsed;
    const bytes = encoder.encode(prefixed.replaceAll(" ", SPACE_MARK));
    const pairs = this.#pairs;
    const n = pairs.reset(bytes);
    this.#merger.run(n, pairs);
    const { next } = this.#merger;
    for (let i = 0; i < n; i = next[i]!) {
      const id = pairs.idAt(i);
      if (id >= 0) ids.push(id);
      else this.#emitBytes(bytes, pairs.startOf(i), pairs.startOf(i) + pairs.lengthOf(i), ids);
    }
    this.#merger.trim();
    pairs.release();
  }

  #emitBytes(bytes: Uint8Array, start: number, end: number, ids: number[]): void {
    for (let i = start; i < end; i++) {
      const id = this.#byteIds[bytes[i]!]!;
      if (id >= 0) ids.push(id);
      else if (this.#spec.unkId !== null) ids.push(this.#spec.unkId);
    }
  }
}

/** Single spaces between words and none at the ends. */
function collapse(text: string): string {
  return text
    .split(" ")
    .filter((word) => word !== "")
    .join(" ");
}

/** [nVocab] place of each token's score among all, best = 0; equal scores share a place. */
function rankScores(spec: TokenizerSpec): Int32Array {
  const n = packedCount(spec.tokens);
  const ranks = new Int32Array(n);
  const scores = spec.scores;
  if (scores === null) return ranks;
  const sorted = scores.slice(0, n).sort();
  const rankOf = new Map<number, number>();
  for (let i = n - 1; i >= 0; i--) if (!rankOf.has(sorted[i]!)) rankOf.set(sorted[i]!, rankOf.size);
  for (let id = 0; id < n; id++) ranks[id] = rankOf.get(scores[id]!)!;
  return ranks;
}

/** The symbols of one text: stretches of its bytes. */
class SpmPairs implements Pairs {
  readonly #tokens: TokenTable;
  readonly #ranks: Int32Array;
  #bytes: Uint8Array = new Uint8Array(0);
  #starts = new Int32Array(64);
  #lengths = new Int32Array(64);
  /** Token of the symbol at a position, -1 = none. */
  #ids = new Int32Array(64);
  /** Token that the symbol would make with its right neighbour. */
  #pairIds = new Int32Array(64);

  constructor(tokens: TokenTable, ranks: Int32Array) {
    this.#tokens = tokens;
    this.#ranks = ranks;
  }

  /** One symbol a character; gives their number. */
  reset(bytes: Uint8Array): number {
    this.#bytes = bytes;
    if (this.#starts.length < bytes.length) {
      this.#starts = new Int32Array(bytes.length);
      this.#lengths = new Int32Array(bytes.length);
      this.#ids = new Int32Array(bytes.length);
      this.#pairIds = new Int32Array(bytes.length);
    }
    let n = 0;
    for (let at = 0; at < bytes.length; n++) {
      const length = Math.min(utf8Length(bytes[at]!), bytes.length - at);
      this.#starts[n] = at;
      this.#lengths[n] = length;
      this.#ids[n] = this.#tokens.find(bytes, at, at + length);
      at += length;
    }
    return n;
  }

  /** Forgets the text, and the arrays if they are large. */
  release(): void {
    this.#bytes = new Uint8Array(0);
    if (this.#starts.length <= 65536) return;
    this.#starts = new Int32Array(64);
    this.#lengths = new Int32Array(64);
    this.#ids = new Int32Array(64);
    this.#pairIds = new Int32Array(64);
  }

  rank(left: number, right: number): number {
    const start = this.#starts[left]!;
    const id = this.#tokens.find(this.#bytes, start, start + this.#lengths[left]! + this.#lengths[right]!);
    this.#pairIds[left] = id;
    return id < 0 ? -1 : this.#ranks[id]!;
  }

  join(left: number, right: number): void {
    this.#lengths[left] = this.#lengths[left]! + this.#lengths[right]!;
    this.#ids[left] = this.#pairIds[left]!;
  }

  idAt(position: number): number {
    return this.#ids[position]!;
  }

  startOf(position: number): number {
    return this.#starts[position]!;
  }

  lengthOf(position: number): number {
    return this.#lengths[position]!;
  }
}
