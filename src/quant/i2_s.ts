/**
 * I2_S: BitNet's ternary format. 128 weights in 32 bytes, codes 0, 1, 2 = −1, 0, +1, one f32 scale per tensor in the first 4 of the
 * 32 bytes behind all rows. Activations are int8 per row; the product is integer until one combined scale.
 *
 * The canonical layout is x86's, which the official 2B file has: byte p of a block holds weights p, 32 + p, 64 + p, 96 + p at bits
 * 6, 4, 2, 0. Two more layouts exist in the wild with the same size and no marker; `toX86` reorders them. Source: microsoft/BitNet@01eb415
 * src/ggml-bitnet-mad.cpp:11-15, 51-195.
 */
import { GgufError, UnsupportedError } from "../errors.ts";
import { roundHalfEven } from "../numerics/rounding.ts";
import type { QuantFormat, QuantMatrix } from "./format.ts";
import { interleave, interleaveBytes, PANEL_ROWS, type Plane, words32 } from "./panel.ts";

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

/** 16 weights of value 0. */
const ALL_ZERO = 0x55555555;

/** Plane g holds columns 32g + p at bits 6 − 2g. Bits 6 do not fit into 7 bits where they are, so plane 0 is always shifted. */
function plane(g: number): Plane {
  const shift = 6 - 2 * g;
  const exact: Plane["exact"] = (f, w) =>
    f.v128.and(shift === 0 ? w.get() : f.i16x8.shr_u(w.get(), f.i32.const(shift)), f.v128.const("i8x16", 3));
  const nibbleShift = shift & 2;
  const nibble: Plane["nibble"] = (f, w) =>
    f.v128.and(shift < 4 ? w.get() : f.i16x8.shr_u(w.get(), f.i32.const(4)), f.v128.const("i8x16", 3 << nibbleShift));
  if (g === 0) return { column: 0, shift: 0, exact, raw: exact, nibbleShift, nibble };
  const raw: Plane["raw"] = (f, w) => f.v128.and(w.get(), f.v128.const("i8x16", 3 << shift));
  return { column: 32 * g, shift, exact, raw, nibbleShift, nibble };
}

/** Code 3 stands for no weight: a file that has it is damaged or of another layout's making. */
function assertTernary(words: Uint32Array): void {
  let threes = 0;
  for (let i = 0; i < words.length; i++) threes |= words[i]! & (words[i]! >>> 1) & ALL_ZERO;
  if (threes === 0) return;
  throw new GgufError("i2s-code", "model: an I2_S tensor holds code 3; codes are 0, 1, 2 (−1, 0, +1)", 0, {
    hint: "The file is damaged, or its type id 36 means another format.",
  });
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
        setCode(data, (row * nCols) / 4, i, Math.max(-1, Math.min(1, roundHalfEven(ratio))) + 1);
      }
    }
    return { nRows, nCols, data, scale };
  },
  panel: {
    kind: "int",
    rows: PANEL_ROWS,
    blockColumns: BLOCK,
    blockBytes: PANEL_ROWS * BLOCK_BYTES,
    // the bytes of a row already hold 4 columns of each plane per 32-bit word: four rows are only interleaved
    pack(matrix, out) {
      const words = words32(matrix.data);
      assertTernary(words);
      interleave(words, matrix.nRows, matrix.nCols / 16, words32(out), ALL_ZERO);
    },
    codes: "unsigned",
    zeroPoint: 1,
    nVectors: BLOCK_BYTES / 4,
    vectorOffset: 0,
    planes: [plane(0), plane(1), plane(2), plane(3)],
    blockScale: null,
  },
  tablePanel: {
    kind: "ternary",
    rows: 32,
    blockColumns: BLOCK,
    blockBytes: 32 * BLOCK_BYTES,
    pack(matrix, out) {
      const words = words32(matrix.data);
      assertTernary(words);
      interleaveBytes(words, matrix.nRows, matrix.nCols / 16, words32(out), 32, ALL_ZERO);
    },
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

/**
 * The rows of `matrix`, laid out as `layout` says, in the canonical x86 order.
 * @throws UnsupportedError `i2s-layout` for `rows4` with rows that are no whole groups of four.
 */
export function toX86(matrix: QuantMatrix, layout: I2sLayout): QuantMatrix {
  if (layout === "x86") return matrix;
  const { nRows, nCols, data } = matrix;
  if (layout === "rows4" && nRows % 4 !== 0) {
    throw new UnsupportedError("i2s-layout", `quant: layout rows4 interleaves four rows; a matrix has ${nRows}`, {
      data: { what: "I2_S layout", found: nRows, supported: "multiples of 4 rows" },
      hint: "The file is of another layout: x86 or neon.",
    });
  }
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
