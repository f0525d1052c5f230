/**
 * Q8_0: 32 weights in 34 bytes: f16 scale d, then 32 signed bytes; w = q · d. Activations are rounded to int8 per 32 values.
 * Source: ggml-org/llama.cpp@c392e50, ggml/src/ggml-common.h `block_q8_0`, ggml-quants.c `quantize_row_q8_0_ref` (which rounds half
 * away from zero; kept here, so that our files equal llama-quantize's).
 */
import { f16ToF32, f32ToF16 } from "../numerics/f16.ts";
import type { QuantFormat, QuantMatrix } from "./format.ts";
import { finiteHalf, loadF16x4, PANEL_ROWS, type Plane, words16 } from "./panel.ts";

const BLOCK = 32;
const BLOCK_BYTES = 34;

const asIs: Plane["exact"] = (_, w) => w.get();

export const q8_0: QuantFormat = {
  name: "Q8_0",
  blockElements: BLOCK,
  activation: "int8-block32",
  rowBytes: (nCols) => (nCols / BLOCK) * BLOCK_BYTES,
  dequantizeRow(matrix, row, out) {
    const rowBytes = (matrix.nCols / BLOCK) * BLOCK_BYTES;
    const view = new DataView(matrix.data.buffer, matrix.data.byteOffset + row * rowBytes, rowBytes);
    for (let b = 0; b < matrix.nCols / BLOCK; b++) {
      const d = f16ToF32(view.getUint16(b * BLOCK_BYTES, true));
      for (let i = 0; i < BLOCK; i++) out[b * BLOCK + i] = view.getInt8(b * BLOCK_BYTES + 2 + i) * d;
    }
  },
  quantize(values, nRows, nCols) {
    const nBlocks = values.length / BLOCK;
    const data = new Uint8Array(nBlocks * BLOCK_BYTES);
    const view = new DataView(data.buffer);
    const q = new Int8Array(data.buffer);
    for (let b = 0; b < nBlocks; b++) {
      let max = 0;
      for (let i = b * BLOCK; i < (b + 1) * BLOCK; i++) max = Math.max(max, Math.abs(values[i]!));
      const d = Math.fround(max / 127);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      view.setUint16(b * BLOCK_BYTES, f32ToF16(d), true);
      for (let i = 0; i < BLOCK; i++) {
        const scaled = Math.fround(values[b * BLOCK + i]! * inverse);
        q[b * BLOCK_BYTES + 2 + i] = scaled < 0 ? -Math.floor(0.5 - scaled) : Math.floor(scaled + 0.5);
      }
    }
    return { nRows, nCols, data, scale: 1 };
  },
  panel: {
    kind: "int",
    rows: PANEL_ROWS,
    blockColumns: BLOCK,
    // four f16 scales, then 8 vectors
    blockBytes: 8 + PANEL_ROWS * BLOCK,
    pack,
    codes: "signed",
    zeroPoint: 0,
    nVectors: BLOCK / 4,
    vectorOffset: 8,
    planes: [{ column: 0, shift: 0, raw: asIs, exact: asIs, nibbleShift: 0, nibble: asIs }],
    blockScale: (f, w) => loadF16x4(f, w.get()),
  },
  dot(matrix, row, x) {
    if (x.kind !== "int8-block32") throw new Error(`Q8_0 weights take int8 activations per block, not ${x.kind}`);
    const rowBytes = (matrix.nCols / BLOCK) * BLOCK_BYTES;
    const view = new DataView(matrix.data.buffer, matrix.data.byteOffset + row * rowBytes, rowBytes);
    let sum = 0;
    for (let b = 0; b < matrix.nCols / BLOCK; b++) {
      let blockSum = 0;
      for (let i = 0; i < BLOCK; i++) blockSum += view.getInt8(b * BLOCK_BYTES + 2 + i) * x.q[b * BLOCK + i]!;
      sum += blockSum * f16ToF32(view.getUint16(b * BLOCK_BYTES, true)) * x.scales[b]!;
    }
    return sum;
  },
};

/** Four rows' blocks side by side: f16 d[4], then for every 4 columns the 4 bytes of each row. Missing rows are zeros. */
function pack(matrix: QuantMatrix, out: Uint8Array): void {
  const from = words16(matrix.data);
  const to = words16(out);
  const nBlocks = matrix.nCols / BLOCK;
  const wordsIn = BLOCK_BYTES / 2;
  const wordsOut = PANEL_ROWS * wordsIn;
  for (let row = 0; row < Math.ceil(matrix.nRows / PANEL_ROWS) * PANEL_ROWS; row++) {
    const r = row % PANEL_ROWS;
    for (let b = 0; b < nBlocks; b++) {
      const source = (row * nBlocks + b) * wordsIn;
      const target = ((row - r) / PANEL_ROWS) * nBlocks * wordsOut + b * wordsOut;
      const isMissing = row >= matrix.nRows;
      to[target + r] = isMissing ? 0 : finiteHalf(from[source]!, "Q8_0");
      for (let i = 0; i < BLOCK / 4; i++) {
        to[target + 4 + 8 * i + 2 * r] = isMissing ? 0 : from[source + 1 + 2 * i]!;
        to[target + 5 + 8 * i + 2 * r] = isMissing ? 0 : from[source + 2 + 2 * i]!;
      }
    }
  }
}
