/**
 * Byte-level BPE (`tokenizer.ggml.model` = "gpt2"): words by the pre-tokeniser, then merges by rank, leftmost first.
 * Works on bytes instead of GPT-2's printable alphabet (byte-alphabet.ts), which is one to one and shorter.
 * Source: src/llama-vocab.cpp, `llm_tokenizer_bpe_session::tokenize`, github.com/ggml-org/llama.cpp
 * @00ad355e009e83abf98f96a6ded7193b95763681. It differs where a vocabulary is damaged: llama.cpp drops the bytes ≥ 0x80 of a
 * symbol that is no token, this emits their byte tokens. Control, unknown and byte tokens never come from text.
 */
import { type PackedStrings, packedCount } from "../bytes/packed-strings.ts";
import { alphabetToBytes } from "./byte-alphabet.ts";
import { Merger, type Pairs } from "./merger.ts";
import { findPreTokenizer, type PreTokenizer, splitWords } from "./pretokenizers.ts";
import type { TokenizerSpec } from "./spec.ts";
import { TokenTable, tableSize } from "./token-table.ts";
import { codePointsOf, writeUtf8 } from "./unicode.ts";

/** What every algorithm does: append the ids of a stretch without special tokens. */
export interface TextEncoderModel {
  encode(text: string, ids: number[]): void;
}

export class Bpe implements TextEncoderModel {
  readonly #pre: PreTokenizer;
  readonly #tables: BpeTables;
  readonly #merger = new Merger();
  readonly #pairs: BpePairs;
  #bytes = new Uint8Array(256);

  /** `raw`: bytes of each token as `rawTokenBytes` makes them. */
  constructor(spec: TokenizerSpec, raw: PackedStrings, isEncodable: (id: number) => boolean) {
    // tokenizer-spec.ts resolved the name; a hand-made spec with another one gets the default.
    this.#pre = findPreTokenizer(spec.pre ?? "default") ?? findPreTokenizer("default")!;
    this.#tables = new BpeTables(spec, raw, isEncodable);
    this.#pairs = new BpePairs(this.#tables);
  }

  encode(text: string, ids: number[]): void {
    const codePoints = codePointsOf(text);
    let start = 0;
    for (const end of splitWords(this.#pre, codePoints)) {
      const room = (end - start) * 4;
      if (this.#bytes.length < room) this.#bytes = new Uint8Array(room * 2);
      this.#encodeWord(writeUtf8(codePoints.points, start, end, this.#bytes, 0), ids);
      start = end;
    }
    this.#merger.trim();
    if (this.#bytes.length > 65536) this.#bytes = new Uint8Array(256);
  }

  #encodeWord(nBytes: number, ids: number[]): void {
    const bytes = this.#bytes;
    if (this.#pre.ignoreMerges) {
      const id = this.#tables.tokens.find(bytes, 0, nBytes);
      if (id >= 0) {
        ids.push(id);
        return;
      }
    }
    const symbols = this.#pairs.reset(bytes, nBytes);
    this.#merger.run(nBytes, this.#pairs);
    const { next } = this.#merger;
    for (let i = 0; i < nBytes; i = next[i]!) this.#tables.emit(symbols[i]!, bytes, i, next[i]!, ids);
  }
}

/** The symbols of one word and how two of them merge. */
class BpePairs implements Pairs {
  readonly #tables: BpeTables;
  #symbols = new Int32Array(64);

  constructor(tables: BpeTables) {
    this.#tables = tables;
  }

  /** One symbol a byte; gives the array that holds them, by position. */
  reset(bytes: Uint8Array, nBytes: number): Int32Array {
    if (this.#symbols.length < nBytes || (this.#symbols.length > 65536 && nBytes < 4096)) {
      this.#symbols = new Int32Array(Math.max(64, nBytes * 2));
    }
    for (let i = 0; i < nBytes; i++) this.#symbols[i] = this.#tables.byteSymbols[bytes[i]!]!;
    return this.#symbols;
  }

  rank(left: number, right: number): number {
    return this.#tables.rankOf(this.#symbols[left]!, this.#symbols[right]!);
  }

  join(left: number, _right: number, rank: number): void {
    this.#symbols[left] = this.#tables.joined[rank]!;
  }
}

/** Token texts and merges by number. A symbol is a token id, or nVocab + k for a text that is no token. */
class BpeTables {
  readonly tokens: TokenTable;
  /** [256] symbol of each byte. */
  readonly byteSymbols = new Int32Array(256);
  /** [nMerges] symbol that a merge makes. */
  readonly joined: Int32Array;
  readonly #nVocab: number;
  readonly #unkId: number | null;
  readonly #isEncodable: (id: number) => boolean;
  /** Texts that are no token: as a key, and their symbol. */
  readonly #extra = new Map<string, number>();
  /** Open addressing: (left, right, rank + 1) in three arrays; rank 0 entry = free. */
  readonly #lefts: Int32Array;
  readonly #rights: Int32Array;
  readonly #ranks: Int32Array;

  constructor(spec: TokenizerSpec, raw: PackedStrings, isEncodable: (id: number) => boolean) {
    this.#nVocab = packedCount(raw);
    this.#unkId = spec.unkId;
    this.#isEncodable = (id) => id >= 0 && id < this.#nVocab && isEncodable(id);
    this.tokens = new TokenTable(raw, isEncodable);
    const single = new Uint8Array(1);
    for (let byte = 0; byte < 256; byte++) {
      single[0] = byte;
      this.byteSymbols[byte] = this.#symbolOf(single, 0, 1);
    }
    const nMerges = spec.merges === null ? 0 : packedCount(spec.merges);
    const size = tableSize(nMerges);
    this.#lefts = new Int32Array(size);
    this.#rights = new Int32Array(size);
    this.#ranks = new Int32Array(size);
    this.joined = new Int32Array(nMerges);
    if (spec.merges !== null) this.#readMerges(spec.merges, nMerges);
  }

  /** Rank of the merge of two symbols, or -1. */
  rankOf(left: number, right: number): number {
    return this.#ranks[this.#probe(left, right)]! - 1;
  }

  /** Appends `symbol`, which covers bytes[start, end); a text that is no token becomes the tokens of its bytes. */
  emit(symbol: number, bytes: Uint8Array, start: number, end: number, ids: number[]): void {
    if (symbol < this.#nVocab) {
      ids.push(symbol);
      return;
    }
    for (let i = start; i < end; i++) {
      const id = this.byteSymbols[bytes[i]!]!;
      if (id < this.#nVocab) ids.push(id);
      else if (this.#unkId !== null) ids.push(this.#unkId);
    }
  }

  #readMerges(merges: PackedStrings, nMerges: number): void {
    const { bytes, offsets } = merges;
    let scratch = new Uint8Array(256);
    // Vocabularies list their tokens as the merges make them, so the last result or the id behind it is the likely one.
    let likely = -1;
    const isUnique = this.tokens.firstDuplicate < 0;
    for (let rank = 0; rank < nMerges; rank++) {
      const start = offsets[rank]!;
      const end = offsets[rank + 1]!;
      if (scratch.length < end - start) scratch = new Uint8Array((end - start) * 2);
      // The first character may itself be a space, as in llama.cpp.
      let space = start + 1;
      while (space < end && bytes[space] !== 0x20) space++;
      if (space >= end) continue;
      const middle = alphabetToBytes(bytes, start, space, scratch, 0);
      const stop = middle < 0 ? -1 : alphabetToBytes(bytes, space + 1, end, scratch, middle);
      // A part outside the alphabet cannot occur in text; an empty one neither.
      if (middle <= 0 || stop <= middle) continue;
      const left = this.#symbolOf(scratch, 0, middle);
      const right = this.#symbolOf(scratch, middle, stop);
      const slot = this.#probe(left, right);
      if (this.#ranks[slot] !== 0) continue;
      this.#lefts[slot] = left;
      this.#rights[slot] = right;
      this.#ranks[slot] = rank + 1;
      if (!isUnique || !this.#isToken(likely, scratch, stop)) {
        const isNext = isUnique && this.#isToken(likely + 1, scratch, stop);
        likely = isNext ? likely + 1 : this.#symbolOf(scratch, 0, stop);
      }
      this.joined[rank] = likely;
    }
  }

  #isToken(id: number, bytes: Uint8Array, end: number): boolean {
    return this.#isEncodable(id) && this.tokens.isText(id, bytes, 0, end);
  }

  #probe(left: number, right: number): number {
    const mask = this.#ranks.length - 1;
    let slot = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    slot = (slot ^ (slot >>> 15)) & mask;
    while (this.#ranks[slot] !== 0 && (this.#lefts[slot] !== left || this.#rights[slot] !== right)) slot = (slot + 1) & mask;
    return slot;
  }

  #symbolOf(bytes: Uint8Array, start: number, end: number): number {
    const id = this.tokens.find(bytes, start, end);
    if (id >= 0) return id;
    let key = "";
    for (let i = start; i < end; i++) key += String.fromCharCode(bytes[i]!);
    let symbol = this.#extra.get(key);
    if (symbol === undefined) {
      symbol = this.#nVocab + this.#extra.size;
      this.#extra.set(key, symbol);
    }
    return symbol;
  }
}
