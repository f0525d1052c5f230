/**
 * Bytes → token id, by open addressing over packed strings: no JS string is made, 128,256 tokens take about 10 ms.
 * The lowest id wins where texts occur twice.
 */
import { type PackedStrings, packedCount } from "../bytes/packed-strings.ts";

/** FNV-1a over bytes[start, end). */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash ^ (hash >>> 15);
}

/** Least power of two that keeps `count` entries at most half full. */
export function tableSize(count: number): number {
  let size = 16;
  while (size < count * 2) size *= 2;
  return size;
}

export class TokenTable {
  /** Longest text in the table, in bytes. */
  readonly maxBytes: number;
  /** First id whose text another one had before, -1 = none. */
  readonly firstDuplicate: number;
  readonly #texts: PackedStrings;
  /** Two numbers a slot, side by side for the cache: id + 1 (0 = free) and the hash of its text. */
  readonly #slots: Int32Array;

  /** Holds the non-empty texts of at most `limit` bytes for which `includes` says yes. */
  constructor(texts: PackedStrings, includes: (id: number) => boolean, limit = Number.POSITIVE_INFINITY) {
    const n = packedCount(texts);
    const slots = new Int32Array(tableSize(n) * 2);
    this.#texts = texts;
    this.#slots = slots;
    const { bytes, offsets } = texts;
    let maxBytes = 0;
    let firstDuplicate = -1;
    for (let id = 0; id < n; id++) {
      const start = offsets[id]!;
      const end = offsets[id + 1]!;
      const length = end - start;
      if (length === 0 || length > limit || !includes(id)) continue;
      const hash = hashBytes(bytes, start, end);
      const slot = this.#probe(bytes, start, end, hash);
      if (slots[slot] !== 0) {
        if (firstDuplicate < 0) firstDuplicate = id;
        continue;
      }
      slots[slot] = id + 1;
      slots[slot + 1] = hash;
      if (length > maxBytes) maxBytes = length;
    }
    this.maxBytes = maxBytes;
    this.firstDuplicate = firstDuplicate;
  }

  /** Id of the token whose text is bytes[start, end), or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    if (end - start > this.maxBytes) return -1;
    return this.#slots[this.#probe(bytes, start, end, hashBytes(bytes, start, end))]! - 1;
  }

  /** True where bytes[start, end) is the text of token `id`; `id` may be any number. */
  isText(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const { bytes: own, offsets } = this.#texts;
    const from = offsets[id];
    const length = end - start;
    if (from === undefined || offsets[id + 1] !== from + length) return false;
    for (let i = 0; i < length; i++) if (own[from + i] !== bytes[start + i]) return false;
    return true;
  }

  /** Index of the slot with that text, or of the free one where it belongs. */
  #probe(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (hash << 1) & mask;
    while (slots[slot] !== 0) {
      if (slots[slot + 1] === hash && this.isText(slots[slot]! - 1, bytes, start, end)) return slot;
      slot = (slot + 2) & mask;
    }
    return slot;
  }
}
