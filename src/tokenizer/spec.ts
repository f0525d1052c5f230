/**
 * What a tokenizer is made of, as plain data: the leaf between GGUF metadata (which `model/` reads) and the algorithms.
 * Everything here survives `structuredClone`, so that a page and its worker can each build the same tokenizer.
 */

import type { PackedStrings } from "../bytes/packed-strings.ts";

export type { PackedStrings };

/** ggml's token types. Source: llama.cpp include/llama.h, `llama_token_type`. */
export const TOKEN_TYPE = { undefined: 0, normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export type TokenizerModel = "bpe" | "spm" | "wordpiece" | "rwkv";

/** Everything that decides how text becomes ids. `null` = the file does not say and the model has none. */
export interface TokenizerSpec {
  readonly model: TokenizerModel;
  /** Resolved name of the pre-tokeniser (BPE only), e.g. "llama-bpe". */
  readonly pre: string | null;
  readonly tokens: PackedStrings;
  /** [nVocab] SentencePiece scores. */
  readonly scores: Float32Array | null;
  /** [nVocab] values of TOKEN_TYPE; null = all normal. */
  readonly types: Int32Array | null;
  /** BPE merges, "left right", best first. */
  readonly merges: PackedStrings | null;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly unkId: number | null;
  readonly sepId: number | null;
  readonly padId: number | null;
  readonly clsId: number | null;
  readonly maskId: number | null;
  /** Ids at which generation ends; always contains `eosId` when that is set. */
  readonly eogIds: readonly number[];
  readonly addBos: boolean;
  readonly addEos: boolean;
  /** SentencePiece: a space is put before the text. */
  readonly addSpacePrefix: boolean;
  /** SentencePiece: runs of white space are collapsed. */
  readonly removeExtraWhitespaces: boolean;
  /** Special tokens that swallow the white space before them when they are parsed; GGUF has no key for it, model/ knows which. */
  readonly lstripIds: readonly number[];
  /** Special tokens that swallow the white space behind them (Phi-3). */
  readonly rstripIds: readonly number[];
  /** WordPiece: text is lower-cased (false: a cased model). */
  readonly lowercase: boolean;
  /** WordPiece: accents are taken off. */
  readonly stripAccents: boolean;
}
