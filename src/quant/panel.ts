/**
 * How the WASM backend holds a matrix: panels of four rows, interleaved so that a 16-byte vector holds the same columns of four rows.
 * A dot product then ends with one result per lane, and nothing is summed across lanes. A format states here how its rows become panels
 * and how a vector of a panel becomes weights; the kernel generator does the rest.
 */
import { GgufError } from "../errors.ts";
import type { FuncBuilder, Local } from "../wasm-asm/func-builder.ts";
import type { Val } from "../wasm-asm/types.ts";
import type { QuantMatrix } from "./format.ts";

export const PANEL_ROWS = 4;

interface PanelGeometry {
  /** Columns of one panel block. */
  readonly blockColumns: number;
  /** Bytes of one panel block: `blockColumns` columns of four rows with their scales. */
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
}

/** Weights that are integers times a scale: 4 rows × 4 columns per vector, row r in 32-bit lane r. */
export interface IntPanel extends PanelGeometry {
  readonly kind: "int";
  /** `unsigned`: codes 0..127, weight = code − zeroPoint. `signed`: i8, zeroPoint 0. */
  readonly codes: "unsigned" | "signed";
  readonly zeroPoint: number;
  /** Largest |code · activation|; decides how many products fit into 16 bits. */
  readonly maxProduct: number;
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
