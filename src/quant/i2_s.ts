/**
 * I2_S: BitNet's ternary format. 128 weights in 32 bytes, codes 0, 1, 2 = −1, 0, +1, one f32 scale per tensor in the first 4 of the
 * 32 bytes behind all rows. Activations are int8 per row; the product is integer until one combined scale.
 *
 * The canonical layout is x86's, which the official 2B file has: byte p of a block holds weights p, 32 + p, 64 + p, 96 + p at bits
 * 6, 4, 2, 0. Two more layouts exist in the wild with the same size and no marker; `toX86` reorders them. Source: microsoft/BitNet@01eb415
 * src/ggml-bitnet-mad.cpp:11-15, 51-195.
 */
import type { QuantFormat, QuantMatrix } from "./format.ts";

export const I2S_LAYOUTS = ["x86", "neon", "rows4"] as const;
export type I2sLayout = (typeof I2S_LAYOUTS)[number];

const BLOCK = 128;
const BLOCK_BYTES = 32;

/** Code 0..2 of weight `col` in a row that starts at byte `rowOffset`. */
function code(data: Uint8Array, rowOffset: number, col: number): number {
  const inBlock = col % BLOCK;
  const byte = data[rowOffset + ((col - inBlock) / BLOCK) * BLOCK_BYTES + (inBlock % 32)]!;
  return (byte >> (6 - 2 * (inBlock >> 5))) & 3;
}

function setCode(data: Uint8Array, rowOffset: number, col: number, value: number): void {
  const inBlock = col % BLOCK;
  const at = rowOffset + ((col - inBlock) / BLOCK) * BLOCK_BYTES + (inBlock % 32);
  data[at] = data[at]! | (value << (6 - 2 * (inBlock >> 5)));
}

export const i2_s: QuantFormat = {
  name: "I2_S",
  blockElements: BLOCK,
  activation: "int8-row",
  rowBytes: (nCols) => nCols / 4,
  dequantizeRow(matrix, row, out) {
    const rowOffset = (row * matrix.nCols) / 4;
    for (let i = 0; i < matrix.nCols; i++) out[i] = (code(matrix.data, rowOffset, i) - 1) * matrix.scale;
  },
  /** Absmean ternary (BitNet b1.58, arXiv 2402.17764 §2) unless the values are already −s, 0, +s for one s: then exact. */
  quantize(values, nRows, nCols) {
    const scale = ternaryScale(values);
    const data = new Uint8Array(values.length / 4);
    for (let row = 0; row < nRows; row++) {
      for (let i = 0; i < nCols; i++) {
        const ratio = values[row * nCols + i]! / scale;
        setCode(data, (row * nCols) / 4, i, Math.max(-1, Math.min(1, Math.round(ratio))) + 1);
      }
    }
    return { nRows, nCols, data, scale };
  },
  dot(matrix, row, x) {
    if (x.kind !== "int8-row") throw new Error(`I2_S weights take int8 activations per row, not ${x.kind}`);
    const rowOffset = (row * matrix.nCols) / 4;
    let sum = 0;
    for (let i = 0; i < matrix.nCols; i++) sum += (code(matrix.data, rowOffset, i) - 1) * x.q[i]!;
    return Math.fround(sum * Math.fround(matrix.scale / x.scale));
  },
};

function ternaryScale(values: Float32Array): number {
  let magnitude = 0;
  let isTernary = true;
  let absSum = 0;
  for (const value of values) {
    const abs = Math.abs(value);
    absSum += abs;
    if (abs === 0) continue;
    if (magnitude === 0) magnitude = abs;
    else if (abs !== magnitude) isTernary = false;
  }
  if (magnitude === 0) return 1;
  return isTernary ? magnitude : Math.fround(absSum / values.length);
}

/** The rows of `matrix`, laid out as `layout` says, in the canonical x86 order. `rows4` needs whole groups of four rows. */
export function toX86(matrix: QuantMatrix, layout: I2sLayout): QuantMatrix {
  if (layout === "x86") return matrix;
  const { nRows, nCols, data } = matrix;
  const out = new Uint8Array(data.length);
  for (let row = 0; row < nRows; row++) {
    const rowOffset = (row * nCols) / 4;
    for (let col = 0; col < nCols; col++) {
      setCode(out, rowOffset, col, layout === "neon" ? neonCode(data, rowOffset, col) : rows4Code(data, nCols, row, col));
    }
  }
  return { ...matrix, data: out };
}

/** Per 64 weights 16 bytes: byte p holds weights p, 16 + p, 32 + p, 48 + p at bits 6, 4, 2, 0. */
function neonCode(data: Uint8Array, rowOffset: number, col: number): number {
  const inBlock = col % 64;
  return (data[rowOffset + ((col - inBlock) / 64) * 16 + (inBlock % 16)]! >> (6 - 2 * (inBlock >> 4))) & 3;
}

/** Four rows share a byte, the first row at the top bits. */
function rows4Code(data: Uint8Array, nCols: number, row: number, col: number): number {
  return (data[(row >> 2) * nCols + col]! >> (6 - 2 * (row & 3))) & 3;
}
