/** The ops that define "right", against numbers worked out by hand; whole models are held to the goldens. */
import { describe, expect, it } from "vitest";
import { activate } from "./activation.ts";
import { attention, type KvRows } from "./attention.ts";
import { KvStore } from "./kv-store.ts";
import { rmsNorm } from "./rms-norm.ts";
import { rope } from "./rope.ts";

const close = (got: ArrayLike<number>, expected: readonly number[]) =>
  expected.forEach((value, i) => {
    expect(got[i], `[${i}]`).toBeCloseTo(value, 6);
  });

describe("reference ops", () => {
  it("rmsNorm: x / √(mean x² + ε) · w", () => {
    close(rmsNorm(Float32Array.of(3, 4), Float32Array.of(1, 2), 0), [3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5)]);
    close(rmsNorm(Float32Array.of(0, 0), Float32Array.of(1, 1), 1e-5), [0, 0]);
    close(rmsNorm(Float32Array.of(1, -1), Float32Array.of(1, 1), 3), [0.5, -0.5]);
  });

  it("activations", () => {
    expect([-2, -0, 0, 3].map((x) => activate("relu2", x))).toEqual([0, 0, 0, 9]);
    expect(activate("silu", 1)).toBeCloseTo(0.7310585786, 9);
    expect(activate("silu", -1)).toBeCloseTo(-0.2689414214, 9);
    expect(activate("silu", -200)).toBeCloseTo(0, 12);
  });

  it("rope: a quarter turn at position 1, neox (i, i + n/2) and pairs (2i, 2i + 1); the rest of the head stays", () => {
    const frequencies = Float64Array.of(Math.PI / 2, 0);
    const x = Float32Array.of(1, 2, 3, 4, 9, 10, 20, 30, 40, 90);
    close(rope(x, 5, { style: "neox", frequencies }, 1), [-3, 2, 1, 4, 9, -30, 20, 10, 40, 90]);
    close(rope(x, 5, { style: "pairs", frequencies }, 1), [-2, 1, 3, 4, 9, -20, 10, 30, 40, 90]);
    close(rope(x, 5, { style: "neox", frequencies }, 2), [-1, 2, -3, 4, 9, -10, 20, -30, 40, 90]);
    close(rope(x, 5, { style: "neox", frequencies }, 0), [...x]);
  });

  it("attention: softmax over the positions up to its own, heads in groups", () => {
    const kv: KvRows = {
      k: (position) => Float32Array.of(position === 0 ? 0 : 1, 0, 0, 1),
      v: (position) => Float32Array.of(position, 10, 100 * position, 1),
    };
    const op = {
      kind: "attention",
      out: { id: 1, rows: "nTokens", nCols: 8, layout: "f32" },
      q: { id: 0, rows: "nTokens", nCols: 8, layout: "f32" },
      kv: { index: 0, nHeadKv: 2, headDim: 2 },
      nHead: 4,
      scale: Math.log(3),
    } as const;
    // heads 0, 1 read KV head 0, heads 2, 3 KV head 1; a score of 1 · ln 3 weighs three times a score of 0
    const q = Float32Array.of(1, 0, 0, 0, 0, 0, 0, 5);
    close(attention(op, q, kv, 1), [0.75, 10, 0.5, 10, 50, 1, 50, 1]);
    close(attention(op, q, kv, 0), [0, 10, 0, 10, 0, 1, 0, 1]);
  });

  it("the cache rounds to f16, and a copy of a page is its own", () => {
    const layer = { index: 0, nHeadKv: 1, headDim: 2 };
    const store = new KvStore([layer]);
    const span = { nTokens: 1, position: 65, pages: [7, 3] };
    store.write(layer, span, 65, Float32Array.of(1 + 2 ** -12, 2), Float32Array.of(3, 4));
    expect([...store.rows(layer, span).k(65)]).toEqual([1, 2]);
    store.copyPage(3, 4);
    store.write(layer, span, 65, Float32Array.of(5, 6), Float32Array.of(7, 8));
    expect([...store.rows(layer, { ...span, pages: [7, 4] }).v(65)]).toEqual([3, 4]);
    expect([...store.rows(layer, span).v(65)]).toEqual([7, 8]);
  });
});
