/**
 * How activations are rounded in front of a weight matrix. The weight's format names one of these; no family knows about it.
 *
 * `int8-row` is bitnet.cpp's scheme for I2_S: q = clamp(roundHalfEven(x · 127 / max(absmax, 1e-5)), −128, 127), one scale per row.
 * Source: microsoft/BitNet@01eb415, 3rdparty llama.cpp `quantize_row_i8_s`.
 * `int8-block32` is ggml's Q8_0 scheme (32 values, d = absmax / 127) with the scale kept in f32 instead of f16.
 * Every step is rounded to f32, so that SIMD code reproduces it bit for bit.
 */
import { roundHalfEven } from "../numerics/rounding.ts";

export type ActivationKind = "f32" | "int8-row" | "int8-block32";

export type RoundedRow =
  | { readonly kind: "f32"; readonly values: Float32Array }
  /** `scale` = 127 / max(absmax, 1e-5); x ≈ q / scale. `sum` = Σ q. */
  | { readonly kind: "int8-row"; readonly q: Int8Array; readonly scale: number; readonly sum: number }
  /** x ≈ q · scales[i / 32]. */
  | { readonly kind: "int8-block32"; readonly q: Int8Array; readonly scales: Float32Array };

/** Smallest absmax that bitnet.cpp divides by. */
export const MIN_ABSMAX = 1e-5;

export const BLOCK32 = 32;

/** Rounds one row of activations. */
export function roundActivations(kind: ActivationKind, x: Float32Array): RoundedRow {
  switch (kind) {
    case "f32":
      return { kind, values: x };
    case "int8-row":
      return roundRow(x);
    case "int8-block32":
      return roundBlocks(x);
    default:
      throw new Error(kind satisfies never);
  }
}

function absMax(x: Float32Array): number {
  let max = 0;
  for (const value of x) max = Math.max(max, Math.abs(value));
  return max;
}

function roundRow(x: Float32Array): RoundedRow {
  const scale = Math.fround(127 / Math.fround(Math.max(absMax(x), Math.fround(MIN_ABSMAX))));
  const q = new Int8Array(x.length);
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    q[i] = Math.max(-128, Math.min(127, roundHalfEven(Math.fround(x[i]! * scale))));
    sum += q[i]!;
  }
  return { kind: "int8-row", q, scale, sum };
}

function roundBlocks(x: Float32Array): RoundedRow {
  const nBlocks = Math.ceil(x.length / BLOCK32);
  const q = new Int8Array(x.length);
  const scales = new Float32Array(nBlocks);
  for (let b = 0; b < nBlocks; b++) {
    const block = x.subarray(b * BLOCK32, (b + 1) * BLOCK32);
    const max = absMax(block);
    scales[b] = max / 127;
    // the smallest subnormals have no finite inverse: such a block is 0
    const inverse = max === 0 ? 0 : Math.fround(127 / max);
    for (let i = 0; i < block.length; i++) {
      q[b * BLOCK32 + i] =
        inverse === Infinity ? 0 : Math.max(-127, Math.min(127, roundHalfEven(Math.fround(block[i]! * inverse))));
    }
  }
  return { kind: "int8-block32", q, scales };
}
