/**
 * The pages of the KV cache as numbers: which are free, who shares which. The backend owns the bytes; this file knows neither models
 * nor memory. A page holds 64 tokens in all layers.
 */
import { BackendError } from "../errors.ts";

export class PagePool {
  readonly nPages: number;
  readonly #references: Uint32Array;
  /** Free pages, lowest on top, so that memory is touched from its start. */
  readonly #free: number[];

  constructor(nPages: number) {
    this.nPages = nPages;
    this.#references = new Uint32Array(nPages);
    this.#free = Array.from({ length: nPages }, (_, i) => nPages - 1 - i);
  }

  get nFree(): number {
    return this.#free.length;
  }

  /** Hands out `n` pages with one reference each, or none. @throws BackendError `kv-cache-full`. */
  take(n: number): number[] {
    if (n > this.#free.length) {
      throw new BackendError("kv-cache-full", `kv-cache: ${n} page(s) wanted, ${this.#free.length} of ${this.nPages} are free`, {
        data: { wanted: n, free: this.#free.length, nPages: this.nPages },
        hint: "Dispose of sessions that are no longer needed, or load the model with a larger nCtx.",
      });
    }
    const pages = Array.from({ length: n }, () => this.#free.pop()!);
    for (const page of pages) this.#references[page] = 1;
    return pages;
  }

  retain(page: number): void {
    this.#references[page]!++;
  }

  /** Gives up one reference; the page is free when none is left. */
  release(page: number): void {
    const left = this.#references[page]! - 1;
    if (left < 0) throw new Error(`kv-cache: page ${page} released once too often`);
    this.#references[page] = left;
    if (left === 0) this.#free.push(page);
  }

  isShared(page: number): boolean {
    return this.#references[page]! > 1;
  }
}
