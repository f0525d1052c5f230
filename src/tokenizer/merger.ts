/**
 * Merges neighbouring symbols, best rank first and leftmost among equals, in O(n log n) at worst.
 * BPE and SentencePiece differ only in how two neighbours are ranked. Order as in llama.cpp's work queues
 * (src/llama-vocab.cpp, `llm_bigram_bpe::comparator`, `llm_bigram_spm::comparator`), github.com/ggml-org/llama.cpp
 * @00ad355e009e83abf98f96a6ded7193b95763681.
 */

/** Ranks the symbols at two positions and joins them. */
export interface Pairs {
  /** Rank in 0..2^22 (lower = earlier), or -1 where the two do not merge. */
  rank(left: number, right: number): number;
  /** Makes `left` the joint symbol; called right after `rank(left, right)` was the best. */
  join(left: number, right: number, rank: number): void;
}

/** Up to here looking at every pair is faster than a queue (measured on English words: 3 to 12 bytes). */
const SCAN_LIMIT = 32;

/** Ranks stay below this: ids of merges, or places of scores. */
export const MAX_RANKS = 2 ** 22;

export class Merger {
  /** [n] position of the symbol to the right, n at the end. Follow it from 0 after `run`. */
  next = new Int32Array(64);
  #previous = new Int32Array(64);
  /** [n] rank of the pair that begins here, -1 = none (or the symbol is gone). */
  #ranks = new Int32Array(64);
  /** Merges the `n` symbols at positions 0..n-1 until no pair has a rank. */
  run(n: number, pairs: Pairs): void {
    this.#reserve(n);
    const { next } = this;
    const ranks = this.#ranks;
    for (let i = 0; i < n; i++) {
      next[i] = i + 1;
      this.#previous[i] = i - 1;
      ranks[i] = i + 1 < n ? pairs.rank(i, i + 1) : -1;
    }
    if (n <= SCAN_LIMIT) this.#scan(n, pairs);
    else this.#drain(n, pairs);
  }

  /** Releases what an unusually long text needed. */
  trim(): void {
    if (this.next.length <= 65536) return;
    this.next = new Int32Array(64);
    this.#previous = new Int32Array(64);
    this.#ranks = new Int32Array(64);
  }

  #scan(n: number, pairs: Pairs): void {
    const { next } = this;
    const ranks = this.#ranks;
    for (;;) {
      let best = -1;
      let bestRank = MAX_RANKS;
      for (let i = 0; i < n; i = next[i]!) {
        const rank = ranks[i]!;
        if (rank >= 0 && rank < bestRank) {
          best = i;
          bestRank = rank;
        }
      }
      if (best < 0) return;
      this.#merge(best, n, pairs);
    }
  }

  #drain(n: number, pairs: Pairs): void {
    const ranks = this.#ranks;
    const queue = new PairQueue();
    for (let i = 0; i < n; i++) if (ranks[i]! >= 0) queue.push(ranks[i]!, i);
    for (let left = queue.pop(); left >= 0; left = queue.pop()) {
      // Something merged here since: the pair is gone, or has another rank and its own entry.
      if (ranks[left] !== queue.rank) continue;
      this.#merge(left, n, pairs);
      const before = this.#previous[left]!;
      if (before >= 0 && ranks[before]! >= 0) queue.push(ranks[before]!, before);
      if (ranks[left]! >= 0) queue.push(ranks[left]!, left);
    }
  }

  #merge(left: number, n: number, pairs: Pairs): void {
    const { next } = this;
    const ranks = this.#ranks;
    const right = next[left]!;
    pairs.join(left, right, ranks[left]!);
    const after = next[right]!;
    ranks[right] = -1;
    next[left] = after;
    if (after < n) this.#previous[after] = left;
    ranks[left] = after < n ? pairs.rank(left, after) : -1;
    const before = this.#previous[left]!;
    if (before >= 0) ranks[before] = pairs.rank(before, left);
  }

  #reserve(n: number): void {
    if (this.next.length >= n) return;
    const size = Math.max(n, this.next.length * 2);
    this.next = new Int32Array(size);
    this.#previous = new Int32Array(size);
    this.#ranks = new Int32Array(size);
  }
}

/**
 * Pairs by rank, then by position. Most pushes of a rank come in ascending order (merging walks to the right), so each rank has
 * a plain list and a heap for the others: a million equal letters cost no heap work at all.
 */
class PairQueue {
  /** Rank of the pair that `pop` gave last. */
  rank = -1;
  readonly #buckets = new Map<number, Bucket>();
  /** Heap of the ranks whose buckets are not empty. */
  readonly #ranks: number[] = [];
  #current: Bucket | undefined;

  push(rank: number, position: number): void {
    let bucket = this.#buckets.get(rank);
    if (bucket === undefined) {
      bucket = { list: [], cursor: 0, heap: [] };
      this.#buckets.set(rank, bucket);
    }
    const { list, heap } = bucket;
    if (bucket.cursor === list.length && heap.length === 0) pushHeap(this.#ranks, rank);
    if (bucket.cursor === list.length || list[list.length - 1]! <= position) list.push(position);
    else pushHeap(heap, position);
  }

  /** Position of the best pair, or -1. */
  pop(): number {
    const rank = this.#ranks[0];
    if (rank === undefined) return -1;
    if (this.#current === undefined || this.rank !== rank) {
      this.rank = rank;
      this.#current = this.#buckets.get(rank)!;
    }
    const bucket = this.#current;
    const { list, heap } = bucket;
    const isListed = bucket.cursor < list.length && (heap.length === 0 || list[bucket.cursor]! <= heap[0]!);
    const position = isListed ? list[bucket.cursor++]! : popHeap(heap);
    if (bucket.cursor === list.length && heap.length === 0) popHeap(this.#ranks);
    return position;
  }
}

interface Bucket {
  /** Ascending from `cursor` on. */
  readonly list: number[];
  cursor: number;
  /** A binary heap, least first. */
  readonly heap: number[];
}

function pushHeap(heap: number[], key: number): void {
  let i = heap.length;
  heap.push(key);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (heap[parent]! <= key) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = key;
}

/** Takes the least key off a heap that is not empty. */
function popHeap(heap: number[]): number {
  const top = heap[0]!;
  const key = heap.pop()!;
  const count = heap.length;
  if (count === 0) return top;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= count) break;
    if (child + 1 < count && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= key) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = key;
  return top;
}
