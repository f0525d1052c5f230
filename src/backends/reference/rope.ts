/** Rotates each head of a row by its position: (a, b) → (a cos − b sin, a sin + b cos). Source: RoFormer, arXiv 2104.09864, §3.2. */
import type { Rotary } from "../../graph/ops.ts";
import { cos, sin } from "../../numerics/elementary.ts";

export function rope(x: Float32Array, headDim: number, rotary: Rotary, position: number): Float32Array {
  const out = x.slice();
  const nPairs = rotary.frequencies.length;
  for (let head = 0; head < x.length; head += headDim) {
    for (let i = 0; i < nPairs; i++) {
      const angle = position * rotary.frequencies[i]!;
      const c = Math.fround(cos(angle));
      const s = Math.fround(sin(angle));
      const [first, second] = rotary.style === "neox" ? [head + i, head + i + nPairs] : [head + 2 * i, head + 2 * i + 1];
      const a = x[first]!;
      const b = x[second]!;
      out[first] = a * c - b * s;
      out[second] = a * s + b * c;
    }
  }
  return out;
}
