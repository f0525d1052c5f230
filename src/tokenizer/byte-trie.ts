/** Longest token at a place in bytes: a trie over the vocabulary in one open-addressed table. */
import { type PackedStrings, packedCount } from "../bytes/packed-strings.ts";
import { tableSize } from "./token-table.ts";

/** Node of the empty prefix. */
const ROOT = 0;

export class ByteTrie {
  /** Keys: node × 256 + byte + 1 (0 = free); values: child node. Nodes stay below 2^23, so keys fit an int32. */
  #keys: Int32Array;
  #children: Int32Array;
  /** id + 1 of the token that ends at a node. */
  #idAt: Int32Array;
  #nNodes = 1;

  /** Holds the non-empty texts of at most `limit` bytes for which `includes` says yes; the lowest id wins. */
  constructor(texts: PackedStrings, includes: (id: number) => boolean, limit: number) {
    const n = packedCount(texts);
    const { bytes, offsets } = texts;
    const included = (id: number): boolean => {
      const length = offsets[id + 1]! - offsets[id]!;
      return length > 0 && length <= limit && includes(id);
    };
    let nBytes = 0;
    for (let id = 0; id < n; id++) if (included(id)) nBytes += offsets[id + 1]! - offsets[id]!;
    const size = tableSize(Math.min(nBytes, 2 ** 23));
    this.#keys = new Int32Array(size);
    this.#children = new Int32Array(size);
    this.#idAt = new Int32Array(Math.min(nBytes, 2 ** 23) + 1);
    for (let id = 0; id < n; id++) {
      if (!included(id) || this.#nNodes + limit >= 2 ** 23) continue;
      let node = ROOT;
      for (let i = offsets[id]!; i < offsets[id + 1]!; i++) node = this.#add(node, bytes[i]!);
      if (this.#idAt[node] === 0) this.#idAt[node] = id + 1;
    }
  }

  /** Longest token at the start of bytes[start, end): its id, and its end in `this.end`; -1 = none. */
  longest(bytes: Uint8Array, start: number, end: number): number {
    let node = ROOT;
    let id = -1;
    for (let i = start; i < end; i++) {
      node = this.#child(node, bytes[i]!);
      if (node === ROOT) break;
      if (this.#idAt[node] !== 0) {
        id = this.#idAt[node]! - 1;
        this.end = i + 1;
      }
    }
    return id;
  }

  /** Where the token that `longest` found ends. */
  end = 0;

  #slot(key: number): number {
    const mask = this.#keys.length - 1;
    let slot = Math.imul(key, 0x9e3779b1);
    slot = (slot ^ (slot >>> 15)) & mask;
    while (this.#keys[slot] !== 0 && this.#keys[slot] !== key) slot = (slot + 1) & mask;
    return slot;
  }

  #child(node: number, byte: number): number {
    const slot = this.#slot(node * 256 + byte + 1);
    return this.#keys[slot] === 0 ? ROOT : this.#children[slot]!;
  }

  #add(node: number, byte: number): number {
    const key = node * 256 + byte + 1;
    const slot = this.#slot(key);
    if (this.#keys[slot] === 0) {
      this.#keys[slot] = key;
      this.#children[slot] = this.#nNodes++;
    }
    return this.#children[slot]!;
  }
}
