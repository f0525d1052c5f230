/** Blocks of the golden set, bit for bit, and small cases of our own for a clone without it. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../tests/support/shared.ts";
import type { QuantMatrix } from "./format.ts";
import { quantFormat } from "./registry.ts";

interface GoldenBlocks {
  readonly type: "I2_S" | "Q8_0" | "F16" | "F32";
  readonly blocks: readonly {
    readonly note: string;
    readonly hex: string;
    readonly scaleHex?: string;
    readonly valuesHex: string;
  }[];
}

const fromHex = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const toHex = (values: Float32Array) => [...new Uint8Array(values.buffer)].map((b) => b.toString(16).padStart(2, "0")).join("");
const f32FromHex = (hex: string) => new DataView(fromHex(hex).buffer).getFloat32(0, true);

function dequantize(type: GoldenBlocks["type"], data: Uint8Array, nCols: number, scale = 1): Float32Array {
  const out = new Float32Array(nCols);
  quantFormat(type, "a test").dequantizeRow({ nRows: 1, nCols, data, scale }, 0, out);
  return out;
}

describe.skipIf(!hasShared)("golden blocks (skipped: the full sets are not beside this checkout)", () => {
  it.each(["i2_s", "q8_0", "f16"])("%s", (name) => {
    const golden = JSON.parse(readFileSync(sharedPath(`golden/blocks/${name}.json`), "utf8")) as GoldenBlocks;
    expect(golden.blocks.length).toBeGreaterThan(1);
    for (const { note, hex, scaleHex, valuesHex } of golden.blocks) {
      const got = dequantize(golden.type, fromHex(hex), valuesHex.length / 8, scaleHex === undefined ? 1 : f32FromHex(scaleHex));
      const expected = new Float32Array(fromHex(valuesHex).buffer);
      // which NaN it is, no engine promises
      if (expected.every(Number.isNaN)) expect(got.every(Number.isNaN), note).toBe(true);
      else expect(toHex(got), note).toBe(valuesHex);
    }
  });
});

describe("single blocks", () => {
  it("I2_S: byte p holds weights p, 32 + p, 64 + p, 96 + p from the top", () => {
    const data = new Uint8Array(32).fill(0b01_01_01_01);
    data[5] = 0b00_10_01_10;
    const values = dequantize("I2_S", data, 128, 0.25);
    const others = [...values].filter((_, i) => i % 32 !== 5);
    expect([values[5], values[37], values[69], values[101]]).toEqual([-0.25, 0.25, 0, 0.25]);
    expect(others.every((value) => value === 0)).toBe(true);
  });

  it("Q8_0: an f16 scale, then signed bytes", () => {
    const data = new Uint8Array(68);
    data.set([0x00, 0x38, 1, 0xff, 0x80, 0x7f]); // 0.5
    data.set([0x01, 0x00, 3], 34); // the smallest half
    const values = dequantize("Q8_0", data, 64);
    expect([...values.slice(0, 5)]).toEqual([0.5, -0.5, -64, 63.5, 0]);
    expect([values[32], values[33]]).toEqual([3 * 2 ** -24, 0]);
  });

  it("F16 and F32 at odd addresses", () => {
    const bytes = Uint8Array.of(0xee, 0x00, 0x3c, 0x01, 0x80, 0xff, 0x7b, 0x00, 0x7c);
    expect([...dequantize("F16", bytes.subarray(1), 4)]).toEqual([1, -(2 ** -24), 65_504, Infinity]);
    const floats = new Uint8Array(9);
    floats.set(new Uint8Array(Float32Array.of(-0, 1e-45).buffer), 1);
    expect(toHex(dequantize("F32", floats.subarray(1), 2))).toBe("0000008001000000");
  });

  it("the second row of a matrix is read from its own bytes", () => {
    for (const [type, nCols] of [
      ["I2_S", 128],
      ["Q8_0", 32],
      ["F16", 3],
      ["F32", 3],
    ] as const) {
      const format = quantFormat(type, "a test");
      const values = Float32Array.from({ length: 3 * nCols }, (_, i) => Math.sign((i * 7) % 11 >= 6 ? 1 : (i % 3) - 1));
      const matrix: QuantMatrix = format.quantize!(values, 3, nCols);
      expect(matrix.data.length, type).toBe(3 * format.rowBytes(nCols));
      for (const row of [0, 1, 2]) {
        const out = new Float32Array(nCols);
        format.dequantizeRow(matrix, row, out);
        const expected = values.slice(row * nCols, (row + 1) * nCols);
        for (let i = 0; i < nCols; i++) expect(Math.abs(out[i]! - expected[i]!), `${type} ${row} ${i}`).toBeLessThan(1e-3);
      }
    }
  });
});
