/** F32: four bytes a weight, little-endian. Activations stay f32. */
import type { QuantFormat } from "./format.ts";
import { interleave, PANEL_ROWS, words32 } from "./panel.ts";

export const f32: QuantFormat = {
  name: "F32",
  blockElements: 1,
  activation: "f32",
  rowBytes: (nCols) => 4 * nCols,
  dequantizeRow(matrix, row, out) {
    const view = new DataView(matrix.data.buffer, matrix.data.byteOffset + row * 4 * matrix.nCols, 4 * matrix.nCols);
    for (let i = 0; i < matrix.nCols; i++) out[i] = view.getFloat32(4 * i, true);
  },
  quantize(values, nRows, nCols) {
    const data = new Uint8Array(4 * values.length);
    const view = new DataView(data.buffer);
    for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i]!, true);
    return { nRows, nCols, data, scale: 1 };
  },
  panel: {
    kind: "float",
    rows: PANEL_ROWS,
    blockColumns: 1,
    blockBytes: 16,
    pack: (matrix, out) => interleave(words32(matrix.data), matrix.nRows, matrix.nCols, words32(out), 0),
    column: (f, w) => f.v128.load(w.get()),
  },
  dot(matrix, row, x) {
    if (x.kind !== "f32") throw new Error(`F32 weights take f32 activations, not ${x.kind}`);
    const view = new DataView(matrix.data.buffer, matrix.data.byteOffset + row * 4 * matrix.nCols, 4 * matrix.nCols);
    let sum = 0;
    for (let i = 0; i < matrix.nCols; i++) sum += view.getFloat32(4 * i, true) * x.values[i]!;
    return sum;
  },
};
