/**
 * How a row of activations lies in memory. The weight's format says how it is rounded (`ActivationKind`); the variant may want the rounded
 * numbers in another form, and so may a step of one row.
 *
 * `f32`: values. `int8-block32`: q as i8, then f32 scales. `int8-row`: [f32 scale, i32 sum, 8 bytes], then q as i8. `wide-row`: the same
 * with q as i16. `table-row`: `wide-row`, then the tables of matmul-ternary.ts.
 */
import { type ActivationKind, BLOCK32 } from "../../quant/activations.ts";
import { usesTables, type Variant } from "./variant.ts";

export type RowForm = ActivationKind | "wide-row" | "table-row";

/** Bytes in front of the values where a row has one scale. */
export const ROW_HEADER = 16;
/** Two tables of 16 bytes for two columns. */
export const TABLE_BYTES_PER_COLUMN = 16;

export function rowForm(kind: ActivationKind, variant: Variant, isDecode: boolean): RowForm {
  if (kind !== "int8-row" || !usesTables(variant)) return kind;
  return isDecode ? "table-row" : "wide-row";
}

/** Bytes from row to row: whole vectors, so that no kernel has a tail. */
export function rowBytes(form: RowForm, nCols: number): number {
  const vectors = 16 * Math.ceil(nCols / 16);
  switch (form) {
    case "f32":
      return 16 * Math.ceil(nCols / 4);
    case "int8-row":
      return ROW_HEADER + vectors;
    case "wide-row":
      return ROW_HEADER + 2 * vectors;
    case "table-row":
      return ROW_HEADER + (2 + TABLE_BYTES_PER_COLUMN) * vectors;
    case "int8-block32":
      return 16 * Math.ceil((nCols + (4 * nCols) / BLOCK32) / 16);
    default:
      throw new Error(form satisfies never);
  }
}
