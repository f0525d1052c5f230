/** Pieces that families share: a linear layer with its optional scale, rotary frequencies. */
import type { Graph } from "../graph/graph.ts";
import type { RopeStyle, Rotary } from "../graph/ops.ts";
import type { Tensor } from "../graph/tensor.ts";
import { pow } from "../numerics/elementary.ts";
import type { RopeConfig } from "./config.ts";
import type { Weights } from "./weights.ts";

/** W · x with `<stem>.weight` and, where the file has it, `<stem>.scale`: [rows, nCols] → [rows, nRows] */
export function linear(g: Graph, x: Tensor, weights: Weights, stem: string, nRows: number): Tensor {
  return g.matmul(x, weights.matrix(`${stem}.weight`, x.nCols, nRows), weights.optionalScale(`${stem}.scale`));
}

/** frequencies[i] = theta^(−2i / nDims) / factor. Source: RoFormer, arXiv 2104.09864, eq. 15. */
export function rotary(rope: RopeConfig, style: RopeStyle): Rotary {
  const frequencies = new Float64Array(rope.nDims / 2);
  for (let i = 0; i < frequencies.length; i++) frequencies[i] = pow(rope.theta, (-2 * i) / rope.nDims) / rope.factor;
  return { style, frequencies };
}
