/** F16: IEEE half, two bytes a weight, little-endian. Activations stay f32 (ggml rounds them to f16; inside its tolerance). */
import { f16ToF32, f32ToF16 } from "../numerics/f16.ts";
import type { QuantFormat } from "./format.ts";
import { finiteHalf, interleave, loadF16x4, PANEL_ROWS, words16 } from "./panel.ts";

export const f16: QuantFormat = {
  name: "F16",
  blockElements: 1,
  activation: "f32",
  rowBytes: (nCols) => 2 * nCols,
  dequantizeRow(matrix, row, out) {
    const view = new DataView(matrix.data.buffer, matrix.data.byteOffset + row * 2 * matrix.nCols, 2 * matrix.nCols);
    for (let i = 0; i < matrix.nCols; i++) out[i] = f16ToF32(view.getUint16(2 * i, true));
  },
  quantize(values, nRows, nCols) {
    const data = new Uint8Array(2 * values.length);
    const view = new DataView(data.buffer);
    for (let i = 0; i < values.length; i++) view.setUint16(2 * i, f32ToF16(values[i]!), true);
    return { nRows, nCols, data, scale: 1 };
  },
  panel: {
    kind: "float",
    rows: PANEL_ROWS,
    blockColumns: 1,
    blockBytes: 8,
    pack(matrix, out) {
      const halves = words16(matrix.data);
      for (const half of halves) finiteHalf(half, "F16");
      interleave(halves, matrix.nRows, matrix.nCols, words16(out), 0);
    },
    column: (f, w) => loadF16x4(f, w.get()),
  },
  dot(matrix, row, x) {
    if (x.kind !== "f32") throw new Error(`F16 weights take f32 activations, not ${x.kind}`);
    const view = new DataView(matrix.data.buffer, matrix.data.byteOffset + row * 2 * matrix.nCols, 2 * matrix.nCols);
    let sum = 0;
    for (let i = 0; i < matrix.nCols; i++) sum += f16ToF32(view.getUint16(2 * i, true)) * x.values[i]!;
    return sum;
  },
};
