/**
 * The nouns of a Program: tensors that exist during a step, weights that the file holds, layers of the KV cache.
 * Shapes are [rows, nCols] row-major; the number of rows is the one free dimension.
 */
import type { ActivationKind } from "../quant/activations.ts";
import type { FormatName } from "../quant/geometry.ts";

/** The free dimension: all tokens of the step, or only the rows whose logits are wanted. */
export type Rows = "nTokens" | "nOutputs";

/** A value that one op writes and others read, within one step. */
export interface Tensor {
  readonly id: number;
  readonly rows: Rows;
  readonly nCols: number;
  /** `f32`, or a row of activations that was rounded for a weight format. */
  readonly layout: ActivationKind;
}

/** A matrix or vector of the file: y[nRows] = W[nRows, nCols] · x[nCols]. A vector has one row. */
export interface Weight {
  /** The tensor's name in the file, e.g. `blk.0.attn_q.weight`. */
  readonly name: string;
  /** The format that it is computed in. */
  readonly format: FormatName;
  /** The format that it has in the file, where a pass chose another to compute in. */
  readonly fileFormat?: FormatName;
  readonly nRows: number;
  readonly nCols: number;
}

/** One layer's share of the KV cache; its geometry decides the size of a page. */
export interface KvLayer {
  readonly index: number;
  readonly nHeadKv: number;
  /** Length of a K row and of a V row per head. */
  readonly headDim: number;
}
