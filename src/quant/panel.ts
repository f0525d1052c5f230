/**
 * How the WASM backend holds a matrix: panels of four rows, interleaved so that a 16-byte vector holds the same columns of four rows.
 * A dot product then ends with one result per lane, and nothing is summed across lanes. A format states here how its rows become panels
 * and how a vector of a panel becomes weights; the kernel generator does the rest. Ternary weights have a second form, 32 rows wide, for
 * kernels that look products up.
 */
import { GgufError } from "../errors.ts";
import type { FuncBuilder, Local } from "../wasm-asm/func-builder.ts";
import type { Val } from "../wasm-asm/types.ts";
import type { QuantMatrix } from "./format.ts";

export const PANEL_ROWS = 4;

interface PanelGeometry {
  /** Rows of one panel, a multiple of PANEL_ROWS. */
  readonly rows: number;
  /** Columns of one panel block. */
  readonly blockColumns: number;
  /** Bytes of one panel block: `blockColumns` columns of `rows` rows with their scales. */
  readonly blockBytes: number;
  /**
   * Writes the panels of `matrix` to `out` (nPanels · nBlocks · blockBytes). Rows that are missing from the last panel are zeros.
   * @throws GgufError where the bytes hold no weight: `i2s-code` for code 3, `weight-not-finite` for a half that is no number
   */
  pack(matrix: QuantMatrix, out: Uint8Array): void;
}

/** One group of columns inside a vector of sub-byte codes. */
export interface Plane {
  /** Column of the block that byte 0 of vector 0 stands for; vector v and byte j add 4v + j. */
  readonly column: number;
  /** `raw` gives code · 2^shift. */
  readonly shift: number;
  /** The i8x16 of codes · 2^shift, at most 127. */
  raw(f: FuncBuilder, w: Local<"v128">): Val<"v128">;
  /** The i8x16 of codes. */
  exact(f: FuncBuilder, w: Local<"v128">): Val<"v128">;
  /** The i8x16 of codes · 2^nibbleShift, from one nibble of each byte. */
  readonly nibbleShift: number;
  nibble(f: FuncBuilder, w: Local<"v128">): Val<"v128">;
}

/** Weights that are integers times a scale: 4 rows × 4 columns per vector, row r in 32-bit lane r. */
export interface IntPanel extends PanelGeometry {
  readonly kind: "int";
  /** `unsigned`: codes 0..127, weight = code − zeroPoint. `signed`: i8, zeroPoint 0. */
  readonly codes: "unsigned" | "signed";
  readonly zeroPoint: number;
  /** Vectors per block, and where the first lies in it. */
  readonly nVectors: number;
  readonly vectorOffset: number;
  readonly planes: readonly Plane[];
  /** The four rows' scales of the block at `w` as f32x4; null where the tensor has one scale. */
  readonly blockScale: ((f: FuncBuilder, w: Local<"i32">) => Val<"v128">) | null;
}

/** Float weights: 4 rows × 1 column per vector. */
export interface FloatPanel extends PanelGeometry {
  readonly kind: "float";
  /** The f32x4 of column 0 of the block at `w`. */
  column(f: FuncBuilder, w: Local<"i32">): Val<"v128">;
}

/**
 * Codes 0, 1, 2 = −1, 0, +1 of 32 rows, byte by byte: byte 32p + r is row r's byte p, with columns p, 32 + p, 64 + p, 96 + p of the block
 * at bits 6, 4, 2, 0.
 */
export interface TernaryPanel extends PanelGeometry {
  readonly kind: "ternary";
  readonly rows: 32;
  readonly blockColumns: 128;
}

export type Panel = IntPanel | FloatPanel;

/** f32x4 of four f16 at `address`, exact for normal and subnormal halves: the bits shifted into place, times 2^112. */
export function loadF16x4(f: FuncBuilder, address: Val<"i32">, offset = 0): Val<"v128"> {
  // sign stays in bit 31; the mask drops the copies of it that sign extension left in bits 28..30
  const placed = f.v128.and(
    f.i32x4.shl(f.v128.load16x4_s(address, { offset }), f.i32.const(13)),
    f.v128.const("i32x4", 0x8fffe000 | 0),
  );
  return f.f32x4.mul(placed, f.v128.const("f32x4", 2 ** 112));
}

/**
 * `half`, which must be a finite f16: `loadF16x4` would read an infinity as 65,536.
 * @throws GgufError `weight-not-finite`
 */
export function finiteHalf(half: number, format: string): number {
  if ((half & 0x7c00) !== 0x7c00) return half;
  throw new GgufError("weight-not-finite", `model: a ${format} tensor holds an infinity or NaN; weights must be finite`, 0, {
    hint: "The file is damaged or was converted from a broken checkpoint.",
  });
}

/** Interleaves whole rows of `wordsPerRow`, element by element: out[4 i + r] = row r's element i; missing rows get `fill`. */
export function interleave<T extends Uint16Array | Uint32Array>(
  rows: T,
  nRows: number,
  wordsPerRow: number,
  out: T,
  fill: number,
): void {
  let to = 0;
  for (let first = 0; first < nRows; first += PANEL_ROWS) {
    let [a, b, c, d] = [first, first + 1, first + 2, first + 3].map((row) => row * wordsPerRow) as [
      number,
      number,
      number,
      number,
    ];
    if (first + PANEL_ROWS <= nRows) {
      for (let i = 0; i < wordsPerRow; i++) {
        out[to++] = rows[a++]!;
        out[to++] = rows[b++]!;
        out[to++] = rows[c++]!;
        out[to++] = rows[d++]!;
      }
      continue;
    }
    for (let i = 0; i < wordsPerRow; i++) {
      for (let r = 0; r < PANEL_ROWS; r++) out[to++] = first + r < nRows ? rows[(first + r) * wordsPerRow + i]! : fill;
    }
  }
}

/**
 * Interleaves whole rows of `wordsPerRow` words byte by byte: byte `panelRows · i + r` of a panel = row r's byte i; missing rows get `fill`.
 * Four rows at a time, as a transposition of 4 × 4 bytes, which is three times as fast as byte by byte.
 */
export function interleaveBytes(
  rows: Uint32Array,
  nRows: number,
  wordsPerRow: number,
  out: Uint32Array,
  panelRows: number,
  fill: number,
): void {
  const quads = panelRows / 4;
  for (let first = 0; first < nRows; first += panelRows) {
    for (let quad = 0; quad < quads; quad++) {
      const row = first + 4 * quad;
      const [hasA, hasB, hasC, hasD] = [row < nRows, row + 1 < nRows, row + 2 < nRows, row + 3 < nRows];
      let from = row * wordsPerRow;
      let to = first * wordsPerRow + quad;
      for (let i = 0; i < wordsPerRow; i++, from++, to += panelRows) {
        const a = hasA ? rows[from]! : fill;
        const b = hasB ? rows[from + wordsPerRow]! : fill;
        const c = hasC ? rows[from + 2 * wordsPerRow]! : fill;
        const d = hasD ? rows[from + 3 * wordsPerRow]! : fill;
        // bytes 0 and 2, bytes 1 and 3 of two rows
        const evenAB = (a & 0x00ff00ff) | ((b & 0x00ff00ff) << 8);
        const oddAB = ((a >>> 8) & 0x00ff00ff) | (b & 0xff00ff00);
        const evenCD = (c & 0x00ff00ff) | ((d & 0x00ff00ff) << 8);
        const oddCD = ((c >>> 8) & 0x00ff00ff) | (d & 0xff00ff00);
        out[to] = (evenAB & 0xffff) | (evenCD << 16);
        out[to + quads] = (oddAB & 0xffff) | (oddCD << 16);
        out[to + 2 * quads] = (evenAB >>> 16) | (evenCD & 0xffff0000);
        out[to + 3 * quads] = (oddAB >>> 16) | (oddCD & 0xffff0000);
      }
    }
  }
}

/** `bytes` as 16-bit words; copies where they are not aligned. */
export function words16(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, bytes.length / 2);
}

/** `bytes` as 32-bit words; copies where they are not aligned. */
export function words32(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, bytes.length / 4);
}
