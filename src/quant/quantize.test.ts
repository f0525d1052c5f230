/** Quantise, dequantise, dot: that each format loses what it may and nothing else. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../tests/support/synthetic-random.ts";
import { f16ToF32, f32ToF16 } from "../numerics/f16.ts";
import { roundActivations } from "./activations.ts";
import type { QuantMatrix } from "./format.ts";
import { quantFormat } from "./registry.ts";

const format = (name: "I2_S" | "Q8_0" | "F16" | "F32") => quantFormat(name, "a test");

function dequantized(name: Parameters<typeof format>[0], matrix: QuantMatrix): Float32Array {
  const out = new Float32Array(matrix.nRows * matrix.nCols);
  for (let row = 0; row < matrix.nRows; row++) {
    format(name).dequantizeRow(matrix, row, out.subarray(row * matrix.nCols, (row + 1) * matrix.nCols));
  }
  return out;
}

describe("quantise, then dequantise", () => {
  it("I2_S is exact for −s, 0, +s, and for all zeros", () => {
    fc.assert(
      fc.property(fc.nat(), fc.float({ min: Math.fround(1e-20), max: Math.fround(1e20), noNaN: true }), (seed, s) => {
        const random = seededRandom(seed);
        const values = Float32Array.from({ length: 384 }, () => (random.below(3) - 1) * s);
        expect(dequantized("I2_S", format("I2_S").quantize!(values, 3, 128)).map((x) => x + 0)).toEqual(values.map((x) => x + 0));
      }),
    );
    expect(dequantized("I2_S", format("I2_S").quantize!(new Float32Array(128), 1, 128)).every((value) => value === 0)).toBe(true);
  });

  it("I2_S of other values is absmean: within half a scale or clamped", () => {
    const values = seededRandom(3).normals(1280);
    const matrix = format("I2_S").quantize!(values, 10, 128);
    const absMean = values.reduce((sum, value) => sum + Math.abs(value), 0) / values.length;
    expect(matrix.scale).toBeCloseTo(absMean, 6);
    dequantized("I2_S", matrix).forEach((got, i) => {
      const ratio = values[i]! / matrix.scale;
      expect(Math.abs(got / matrix.scale - Math.max(-1, Math.min(1, ratio)))).toBeLessThanOrEqual(0.5 + 1e-6);
    });
  });

  it("I2_S rounds v and −v to opposite weights, at halves too", () => {
    // absmean = 1; ±0.5 is a tie, which half-even sends to 0 (as the training code's `round` does)
    const values = Float32Array.from({ length: 128 }, (_, i) => [0.5, -0.5, 1.5, -1.5][i % 4]!);
    const matrix = format("I2_S").quantize!(values, 1, 128);
    expect(matrix.scale).toBe(1);
    expect([...dequantized("I2_S", matrix).slice(0, 4)].map((value) => value + 0)).toEqual([0, 0, 1, -1]);
  });

  it("Q8_0 is within half a step of its block, and keeps zeros", () => {
    const values = seededRandom(4).normals(320, 5).fill(0, 32, 64);
    const matrix = format("Q8_0").quantize!(values, 5, 64);
    const got = dequantized("Q8_0", matrix);
    for (let b = 0; b < 10; b++) {
      const block = values.slice(32 * b, 32 * b + 32);
      const max = Math.max(...block.map(Math.abs));
      // half a step, and the rounding of the scale to f16
      for (const [i, value] of block.entries()) {
        expect(Math.abs(got[32 * b + i]! - value)).toBeLessThanOrEqual((max / 127) * 0.5 + max * 2 ** -11);
      }
    }
    expect(got.slice(32, 64).every((value) => value === 0)).toBe(true);
  });

  it("F16 rounds to even, F32 keeps every bit", () => {
    const values = Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, -0, 1e-7, 65_504, 1e-45);
    expect([...dequantized("F16", format("F16").quantize!(values, 2, 3))]).toEqual([...values].map((v) => f16ToF32(f32ToF16(v))));
    expect(dequantized("F32", format("F32").quantize!(values, 2, 3))).toEqual(values);
  });
});

describe("activations", () => {
  it("int8 per row: half to even, −127 to 127, absmax at least 1e-5", () => {
    const x = Float32Array.of(127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, -126);
    const rounded = roundActivations("int8-row", x);
    if (rounded.kind !== "int8-row") throw new Error(rounded.kind);
    expect([...rounded.q]).toEqual([127, 0, 2, 2, 0, -2, -2, -126]);
    expect(rounded).toMatchObject({ scale: 1, sum: 1 });
    const tiny = roundActivations("int8-row", Float32Array.of(1e-6, -1e-6, 0));
    if (tiny.kind !== "int8-row") throw new Error(tiny.kind);
    // 127 / 1e-5 · 1e-6 = 12.7
    expect([...tiny.q]).toEqual([13, -13, 0]);
  });

  it("int8 per row is never −128, on which the 16-bit sums of kernels rely", () => {
    fc.assert(
      fc.property(fc.float32Array({ minLength: 1, maxLength: 40, noNaN: true, noDefaultInfinity: true }), (x) => {
        const { q } = roundActivations("int8-row", x) as { q: Int8Array };
        expect(Math.min(...q)).toBeGreaterThanOrEqual(-127);
      }),
      { numRuns: 2000 },
    );
  });

  it("int8 per 32 values: each block by its own maximum", () => {
    const x = new Float32Array(96).fill(0).fill(127, 0, 1).fill(2.5, 1, 3).fill(1e-30, 32, 64);
    const rounded = roundActivations("int8-block32", x);
    if (rounded.kind !== "int8-block32") throw new Error(rounded.kind);
    expect([...rounded.q.slice(0, 4)]).toEqual([127, 2, 2, 0]);
    expect(rounded.q.slice(32, 64).every((q) => q === 127)).toBe(true);
    expect(rounded.q.slice(64).every((q) => q === 0)).toBe(true);
    expect([...rounded.scales]).toEqual([1, Math.fround(Math.fround(1e-30) / 127), 0]);
  });

  it("a block whose inverse overflows is 0, not NaN", () => {
    const rounded = roundActivations("int8-block32", new Float32Array(32).fill(1e-45));
    if (rounded.kind !== "int8-block32") throw new Error(rounded.kind);
    expect(rounded.q.every((q) => q === 0)).toBe(true);
    expect(rounded.scales.every(Number.isFinite)).toBe(true);
  });
});

describe("dot", () => {
  it("is the product with the rounded activations, exactly where that is integer", () => {
    const random = seededRandom(6);
    const x = random.normals(256);
    for (const name of ["I2_S", "Q8_0", "F16", "F32"] as const) {
      const matrix = format(name).quantize!(random.normals(512, 0.1), 2, 256);
      const rounded = roundActivations(format(name).activation, x);
      const values = Float64Array.from(x, (value, i) => {
        if (rounded.kind === "int8-row") return rounded.q[i]! / rounded.scale;
        if (rounded.kind === "int8-block32") return rounded.q[i]! * rounded.scales[i >> 5]!;
        return value;
      });
      const w = dequantized(name, matrix);
      for (const row of [0, 1]) {
        const slow = values.reduce((sum, value, i) => sum + value * w[256 * row + i]!, 0);
        expect(format(name).dot(matrix, row, rounded)).toBeCloseTo(slow, 5);
      }
    }
  });

  it("refuses activations of another rounding", () => {
    const x = roundActivations("f32", new Float32Array(128));
    const int = roundActivations("int8-row", new Float32Array(128));
    for (const name of ["I2_S", "Q8_0", "F16", "F32"] as const) {
      const matrix = format(name).quantize!(new Float32Array(128), 1, 128);
      expect(() => format(name).dot(matrix, 0, name.startsWith("F") ? int : x)).toThrow(/take/);
    }
  });
});
