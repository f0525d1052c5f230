/** Panels against a slow definition that follows the comments in panel.ts and the formats, and I2_S's three layouts. */
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../tests/support/synthetic-random.ts";
import { f16ToF32 } from "../numerics/f16.ts";
import type { QuantMatrix } from "./format.ts";
import type { FormatName } from "./geometry.ts";
import { type I2sLayout, toX86 } from "./i2_s.ts";
import { type IntPanel, PANEL_ROWS } from "./panel.ts";
import { quantFormat } from "./registry.ts";

function randomMatrix(
  name: FormatName,
  nRows: number,
  nCols: number,
  seed: number,
): { matrix: QuantMatrix; values: Float32Array } {
  const format = quantFormat(name, "a test");
  const matrix = format.quantize!(seededRandom(seed).normals(nRows * nCols, 0.1), nRows, nCols);
  const values = new Float32Array(nRows * nCols);
  for (let row = 0; row < nRows; row++) format.dequantizeRow(matrix, row, values.subarray(row * nCols, (row + 1) * nCols));
  return { matrix, values };
}

function packed(name: FormatName, matrix: QuantMatrix, offset = 0): Uint8Array {
  const { panel } = quantFormat(name, "a test");
  const nBytes = Math.ceil(matrix.nRows / PANEL_ROWS) * (matrix.nCols / panel.blockColumns) * panel.blockBytes;
  const shifted = new Uint8Array(matrix.data.length + offset);
  shifted.set(matrix.data, offset);
  const out = new Uint8Array(nBytes).fill(0xcc);
  panel.pack({ ...matrix, data: shifted.subarray(offset) }, out);
  return out;
}

/** The weight at (row, col) of packed panels, found by looking for its place the slow way. */
function weightAt(name: FormatName, panels: Uint8Array, nCols: number, row: number, col: number, scale: number): number {
  const { panel } = quantFormat(name, "a test");
  const nBlocks = nCols / panel.blockColumns;
  const lane = row % PANEL_ROWS;
  const block = (Math.floor(row / PANEL_ROWS) * nBlocks + Math.floor(col / panel.blockColumns)) * panel.blockBytes;
  const view = new DataView(panels.buffer);
  if (panel.kind === "float") {
    return name === "F32" ? view.getFloat32(block + 4 * lane, true) : f16ToF32(view.getUint16(block + 2 * lane, true));
  }
  const inBlock = col % panel.blockColumns;
  const plane = planeOf(panel, inBlock);
  const inPlane = inBlock - plane.column;
  const byte = panels[block + panel.vectorOffset + 16 * Math.floor(inPlane / 4) + 4 * lane + (inPlane % 4)]!;
  if (panel.codes === "signed") return f16ToF32(view.getUint16(block + 2 * lane, true)) * ((byte << 24) >> 24);
  return (((byte >> plane.shift) & 3) - panel.zeroPoint) * scale;
}

function planeOf(panel: IntPanel, col: number): { column: number; shift: number } {
  // plane 0's bits are taken where they are worth 2^6, whatever `shift` says about the vector that the kernel sees
  const at = [...panel.planes].reverse().find(({ column }) => column <= col)!;
  const isTop = panel.planes.length === 4 && at.column === 0;
  return { column: at.column, shift: isTop ? 6 : at.shift };
}

describe("panels", () => {
  const cases: readonly [FormatName, number][] = [
    ["I2_S", 256],
    ["Q8_0", 96],
    ["F16", 7],
    ["F32", 5],
  ];
  for (const [name, nCols] of cases) {
    it.each([1, 2, 3, 4, 5, 127])(`${name}: every weight of %i rows is in its place, missing rows are zeros`, (nRows) => {
      const { matrix, values } = randomMatrix(name, nRows, nCols, nRows);
      const panels = packed(name, matrix);
      for (let row = 0; row < PANEL_ROWS * Math.ceil(nRows / PANEL_ROWS); row++) {
        for (let col = 0; col < nCols; col++) {
          const expected = row < nRows ? values[row * nCols + col]! : 0;
          const got = Math.fround(weightAt(name, panels, nCols, row, col, matrix.scale));
          if (got !== expected) expect.fail(`${name} row ${row} column ${col}: ${got}, not ${expected}`);
        }
      }
    });

    it(`${name}: bytes at any address`, () => {
      const { matrix } = randomMatrix(name, 5, nCols, 1);
      for (const offset of [1, 2, 3]) expect(packed(name, matrix, offset)).toEqual(packed(name, matrix));
    });
  }

  it.each([1, 31, 32, 33, 70])("I2_S for tables: every byte of %i rows is in its place, missing rows are zeros", (nRows) => {
    const { matrix } = randomMatrix("I2_S", nRows, 256, nRows);
    const panel = quantFormat("I2_S", "a test").tablePanel!;
    const rowBytes = 256 / 4;
    for (const offset of [0, 1]) {
      const shifted = new Uint8Array(matrix.data.length + offset);
      shifted.set(matrix.data, offset);
      const out = new Uint8Array(32 * Math.ceil(nRows / 32) * rowBytes).fill(0xcc);
      panel.pack({ ...matrix, data: shifted.subarray(offset) }, out);
      out.forEach((byte, at) => {
        const row = 32 * Math.floor(at / (32 * rowBytes)) + (at % 32);
        const expected = row < nRows ? matrix.data[row * rowBytes + Math.floor((at % (32 * rowBytes)) / 32)]! : 0x55;
        if (byte !== expected) expect.fail(`row ${row}, byte ${at} of the panels: ${byte}, not ${expected}`);
      });
    }
  });

  it("a matrix in pieces of whole panels is the matrix", () => {
    const { matrix } = randomMatrix("Q8_0", 11, 64, 2);
    const whole = packed("Q8_0", matrix);
    const rowBytes = matrix.data.length / 11;
    const pieces = [
      [0, 4],
      [4, 8],
      [8, 11],
    ].map(([begin, end]) =>
      packed("Q8_0", { ...matrix, nRows: end! - begin!, data: matrix.data.slice(begin! * rowBytes, end! * rowBytes) }),
    );
    expect(Buffer.concat(pieces)).toEqual(Buffer.from(whole));
  });
});

describe("bytes that hold no weight are refused", () => {
  it.each([0, 2, 4, 6])("I2_S code 3 at bits %i, in any byte", (shift) => {
    const { matrix } = randomMatrix("I2_S", 5, 128, 3);
    for (const at of [0, 31, 32, 5 * 32 - 1]) {
      const data = matrix.data.slice();
      data[at] = data[at]! | (3 << shift);
      const isRefused = expect.objectContaining({ code: "i2s-code", name: "GgufError" });
      expect(() => packed("I2_S", { ...matrix, data })).toThrow(isRefused);
      const { tablePanel } = quantFormat("I2_S", "a test");
      expect(() => tablePanel!.pack({ ...matrix, data }, new Uint8Array(32 * 32))).toThrow(isRefused);
    }
    expect(() => packed("I2_S", matrix)).not.toThrow();
  });

  it.each([0x7c00, 0xfc00, 0x7e00, 0xffff])("a Q8_0 scale or an F16 weight of bits %i", (bits) => {
    const q8 = randomMatrix("Q8_0", 5, 64, 4).matrix;
    const half = randomMatrix("F16", 3, 5, 5).matrix;
    for (const [name, matrix, at] of [
      ["Q8_0", q8, 0],
      ["Q8_0", q8, q8.data.length - 34],
      ["F16", half, 0],
      ["F16", half, half.data.length - 2],
    ] as const) {
      const data = matrix.data.slice();
      new DataView(data.buffer).setUint16(at, bits, true);
      expect(() => packed(name, { ...matrix, data })).toThrow(expect.objectContaining({ code: "weight-not-finite" }));
    }
  });
});

describe("I2_S layouts", () => {
  /** codes[row][col] in the layout's order, by its definition: never by the code under test. */
  function repack(codes: readonly (readonly number[])[], layout: I2sLayout): Uint8Array {
    const [nRows, nCols] = [codes.length, codes[0]!.length];
    const out = new Uint8Array((nRows * nCols) / 4);
    if (layout === "rows4") {
      for (let r = 0; r < nRows; r += 4) {
        for (let c = 0; c < nCols; c++) {
          out[(r / 4) * nCols + c] =
            (codes[r]![c]! << 6) | (codes[r + 1]![c]! << 4) | (codes[r + 2]![c]! << 2) | codes[r + 3]![c]!;
        }
      }
      return out;
    }
    const group = layout === "x86" ? 32 : 16;
    for (let r = 0; r < nRows; r++) {
      for (let block = 0; block < nCols; block += 4 * group) {
        for (let p = 0; p < group; p++) {
          const c = (k: number) => codes[r]![block + k * group + p]!;
          out[(r * nCols + block) / 4 + p] = (c(0) << 6) | (c(1) << 4) | (c(2) << 2) | c(3);
        }
      }
    }
    return out;
  }

  const random = seededRandom(17);
  const codes = Array.from({ length: 8 }, () => Array.from({ length: 384 }, () => random.below(3)));
  const x86 = repack(codes, "x86");

  it.each(["x86", "neon", "rows4"] as const)("toX86 of %s is the original", (layout) => {
    const data = repack(codes, layout);
    const matrix = toX86({ nRows: 8, nCols: 384, data, scale: 0.5 }, layout);
    expect(matrix).toEqual({ nRows: 8, nCols: 384, data: x86, scale: 0.5 });
    // the three are told apart by this matrix at all
    if (layout !== "x86") expect(data).not.toEqual(x86);
  });

  it("x86 is what dequantizeRow reads", () => {
    const out = new Float32Array(384);
    quantFormat("I2_S", "a test").dequantizeRow({ nRows: 8, nCols: 384, data: x86, scale: 2 }, 6, out);
    expect([...out]).toEqual(codes[6]!.map((code) => 2 * (code - 1)));
  });

  it("rows4 refuses rows that are no whole groups of four", () => {
    const data = new Uint8Array((6 * 128) / 4);
    expect(() => toX86({ nRows: 6, nCols: 128, data, scale: 1 }, "rows4")).toThrow(/4/);
  });
});
