/**
 * Causal attention over the paged cache, in f64: softmax(scale · q·Kᵀ) · V per head. K and V were rounded to f16 when they were
 * written, also those of the step itself, so that prefill and decode see the same numbers.
 */
import type { OpOf } from "../../graph/ops.ts";
import { exp } from "../../numerics/elementary.ts";

/** K and V of one cache layer: row of [nHeadKv · headDim] at a position of the sequence. */
export interface KvRows {
  k(position: number): Float32Array;
  v(position: number): Float32Array;
}

export function attention(op: OpOf<"attention">, q: Float32Array, kv: KvRows, position: number): Float32Array {
  const { headDim, nHeadKv } = op.kv;
  const out = new Float32Array(q.length);
  const scores = new Float64Array(position + 1);
  for (let head = 0; head < op.nHead; head++) {
    const qAt = head * headDim;
    const kvAt = Math.floor((head * nHeadKv) / op.nHead) * headDim;
    let max = Number.NEGATIVE_INFINITY;
    for (let j = 0; j <= position; j++) {
      const k = kv.k(j);
      let dot = 0;
      for (let i = 0; i < headDim; i++) dot += q[qAt + i]! * k[kvAt + i]!;
      scores[j] = dot * op.scale;
      max = Math.max(max, scores[j]!);
    }
    let sum = 0;
    const mixed = new Float64Array(headDim);
    for (let j = 0; j <= position; j++) {
      const weight = exp(scores[j]! - max);
      sum += weight;
      const v = kv.v(j);
      for (let i = 0; i < headDim; i++) mixed[i] = mixed[i]! + weight * v[kvAt + i]!;
    }
    for (let i = 0; i < headDim; i++) out[qAt + i] = mixed[i]! / sum;
  }
  return out;
}
