/** The bytes of the reference's KV cache: f16, page by page, allocated when a page is first written. */
import type { KvLayer } from "../../graph/tensor.ts";
import { f16ToF32Array, f32ToF16Array } from "../../numerics/f16.ts";
import { PAGE_TOKENS, type Span } from "../backend.ts";
import type { KvRows } from "./attention.ts";

export class KvStore {
  /** [page][layer] → K rows then V rows, [2 · 64, nHeadKv · headDim] */
  readonly #pages = new Map<number, Uint16Array[]>();
  readonly #layers: readonly KvLayer[];

  constructor(layers: readonly KvLayer[]) {
    this.#layers = layers;
  }

  write(layer: KvLayer, span: Span, position: number, k: Float32Array, v: Float32Array): void {
    const page = this.#page(span.pages[Math.floor(position / PAGE_TOKENS)]!)[layer.index]!;
    const width = layer.nHeadKv * layer.headDim;
    const row = position % PAGE_TOKENS;
    f32ToF16Array(k, page.subarray(row * width, (row + 1) * width));
    f32ToF16Array(v, page.subarray((PAGE_TOKENS + row) * width, (PAGE_TOKENS + row + 1) * width));
  }

  rows(layer: KvLayer, span: Span): KvRows {
    const width = layer.nHeadKv * layer.headDim;
    const read = (position: number, first: number) => {
      const page = this.#page(span.pages[Math.floor(position / PAGE_TOKENS)]!)[layer.index]!;
      const row = first + (position % PAGE_TOKENS);
      return f16ToF32Array(page.subarray(row * width, (row + 1) * width));
    };
    return { k: (position) => read(position, 0), v: (position) => read(position, PAGE_TOKENS) };
  }

  copyPage(from: number, to: number): void {
    this.#pages.set(
      to,
      this.#page(from).map((layer) => layer.slice()),
    );
  }

  #page(number: number): Uint16Array[] {
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = this.#layers.map((layer) => new Uint16Array(2 * PAGE_TOKENS * layer.nHeadKv * layer.headDim));
      this.#pages.set(number, page);
    }
    return page;
  }
}
