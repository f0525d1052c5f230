/**
 * The pages of one sequence. Forks share pages and copy one only when they write into it; `truncate` gives whole pages back.
 * Positions [0, nPast) are written.
 */
import type { PagePool } from "./page-pool.ts";

/** Tokens of a page: the unit of allocation, and the segment of attention (segmentation is part of the result's bits). */
export const PAGE_TOKENS = 64;

export class PageTable {
  readonly #pool: PagePool;
  readonly #copyPage: (from: number, to: number) => void;
  readonly #pages: number[];
  #nPast: number;

  constructor(pool: PagePool, copyPage: (from: number, to: number) => void, pages: readonly number[] = [], nPast = 0) {
    this.#pool = pool;
    this.#copyPage = copyPage;
    this.#pages = [...pages];
    this.#nPast = nPast;
  }

  get nPast(): number {
    return this.#nPast;
  }

  get pages(): readonly number[] {
    return this.#pages;
  }

  /**
   * Makes positions [nPast, nPast + n) writable: takes missing pages, copies a shared last one. All or nothing.
   * @throws BackendError `kv-cache-full`
   */
  reserve(n: number): void {
    const nNeeded = Math.ceil((this.#nPast + n) / PAGE_TOKENS);
    const last = Math.floor(this.#nPast / PAGE_TOKENS);
    const isPartial = this.#nPast % PAGE_TOKENS > 0;
    const mustCopy = n > 0 && isPartial && this.#pool.isShared(this.#pages[last]!);
    const taken = this.#pool.take(Math.max(0, nNeeded - this.#pages.length) + (mustCopy ? 1 : 0));
    if (mustCopy) {
      const copy = taken.shift()!;
      this.#copyPage(this.#pages[last]!, copy);
      this.#pool.release(this.#pages[last]!);
      this.#pages[last] = copy;
    }
    this.#pages.push(...taken);
  }

  /** Counts `n` reserved positions as written. */
  advance(n: number): void {
    this.#nPast += n;
  }

  /** Forgets positions from `nPast` on. */
  truncate(nPast: number): void {
    if (!Number.isInteger(nPast) || nPast < 0 || nPast > this.#nPast) {
      throw new RangeError(`kv-cache: cannot truncate to ${nPast}; positions 0 to ${this.#nPast} are written`);
    }
    this.#nPast = nPast;
    const nKept = Math.ceil(nPast / PAGE_TOKENS);
    for (const page of this.#pages.splice(nKept)) this.#pool.release(page);
  }

  /** A second sequence with the same past, sharing every page. */
  fork(): PageTable {
    for (const page of this.#pages) this.#pool.retain(page);
    return new PageTable(this.#pool, this.#copyPage, this.#pages, this.#nPast);
  }

  dispose(): void {
    this.truncate(0);
  }
}
