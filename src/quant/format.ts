/**
 * The contract of a block format: one file per format in this folder states the layout of a row, the scalar
 * dequantiser and quantiser, and the scalar dot product that defines "right" for every backend.
 * Geometry (sizes in a file) is in geometry.ts.
 */
import type { ActivationKind, RoundedRow } from "./activations.ts";
import type { FormatName } from "./geometry.ts";
import type { Panel, TernaryPanel } from "./panel.ts";

/** The rows of one matrix in the format's canonical layout, with whatever the format keeps once per tensor. */
export interface QuantMatrix {
  readonly nRows: number;
  readonly nCols: number;
  /** Rows back to back, `rowBytes(nCols)` each. */
  readonly data: Uint8Array;
  /** I2_S: the f32 scale of the tensor. 1 for every other format. */
  readonly scale: number;
}

export interface QuantFormat {
  readonly name: FormatName;
  /** Row lengths must be a multiple of this. */
  readonly blockElements: number;
  /** How an activation row is rounded before it meets this format (design: the weight's format decides, never the family). */
  readonly activation: ActivationKind;
  /** Bytes of a row of `nCols` weights. */
  rowBytes(nCols: number): number;
  /** Writes the f32 values of row `row` to `out[0 .. nCols)`; bit-equal to ggml's. */
  dequantizeRow(matrix: QuantMatrix, row: number, out: Float32Array): void;
  /** Quantises `values` [nRows, nCols]; absent where the format cannot be written. */
  quantize?(values: Float32Array, nRows: number, nCols: number): QuantMatrix;
  /** How the WASM backend holds and unpacks it. */
  readonly panel: Panel;
  /** Another form of it, where products are looked up in tables and not multiplied; default: `panel`. */
  readonly tablePanel?: TernaryPanel;
  /** Product of row `row` with a rounded activation row: integer where the format is integer, sums in f64 otherwise. */
  dot(matrix: QuantMatrix, row: number, x: RoundedRow): number;
}
