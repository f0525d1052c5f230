import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { hasShared, sharedPath } from "../../tests/support/shared.ts";
import { f16ToF32 } from "../numerics/f16.ts";
import { tq2BytesOf, writeTq2 } from "./tq2_0.ts";

/** Codes 0..2 of 256 weights as I2_S holds them. */
function i2sOf(codes: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(codes.length / 4);
  for (const [i, code] of codes.entries()) {
    const inBlock = i % 128;
    bytes[((i - inBlock) / 128) * 32 + (inBlock % 32)]! |= code << (6 - 2 * (inBlock >> 5));
  }
  return bytes;
}

/** As ggml's `dequantize_row_tq2_0`, by index: weight 128h + 32g + p is bits 2g of byte 32h + p. */
function weight(block: Uint8Array, i: number): number {
  const code = (block[32 * (i >> 7) + (i % 32)]! >> (2 * ((i >> 5) & 3))) & 3;
  return (code - 1) * f16ToF32(block[64]! | (block[65]! << 8));
}

function written(codes: readonly number[], scale: number): Uint8Array {
  const out = new Uint8Array(tq2BytesOf(codes.length / 4));
  writeTq2(i2sOf(codes), scale, out);
  return out;
}

test("a block made by hand: 64 bytes of codes, then the scale", () => {
  // zeros but for weights 0, 32, 64, 96 (byte 0) and 129 (byte 33)
  const codes = Array.from({ length: 256 }, () => 1);
  [codes[0], codes[32], codes[64], codes[96], codes[129]] = [2, 0, 1, 2, 0];
  const block = written(codes, 0.5);
  expect(block.length).toBe(66);
  const expected = new Uint8Array(66).fill(0b01_01_01_01, 0, 64);
  expected[0] = 0b10_01_00_10;
  expected[33] = 0b01_01_01_00;
  expected[65] = 0x38; // 0.5 in f16 is 0x3800
  expect(block).toEqual(expected);
});

test("blocks follow each other", () => {
  const codes = Array.from({ length: 512 }, (_, i) => (i * i + (i >> 8)) % 3);
  const bytes = written(codes, 2);
  expect(bytes.length).toBe(132);
  const values = codes.map((_, i) => weight(bytes.subarray(66 * (i >> 8)), i & 255));
  expect(values).toEqual(codes.map((code) => 2 * (code - 1)));
});

interface GoldenBlock {
  readonly note: string;
  readonly hex: string;
  readonly values: readonly (number | null)[];
}

describe.skipIf(!hasShared)("golden blocks of llama.cpp (skipped: the full sets are not beside this checkout)", () => {
  const { blocks } = hasShared
    ? (JSON.parse(readFileSync(sharedPath("golden/blocks/tq2_0.json"), "utf8")) as { blocks: readonly GoldenBlock[] })
    : { blocks: [] };
  const scaleOf = (golden: Uint8Array) => f16ToF32(golden[64]! | (golden[65]! << 8));
  const bytesOf = ({ hex }: GoldenBlock) => Uint8Array.from(Buffer.from(hex, "hex"));

  test.each(blocks.map((block) => [block.note, block] as const))("%s: values", (_, block) => {
    const golden = bytesOf(block);
    for (const [i, value] of block.values.entries()) {
      // the file has nine digits
      expect(Math.abs(weight(golden, i) - value!)).toBeLessThanOrEqual(1e-8 * Math.abs(value!) + 1e-16);
    }
  });

  // a zero scale does not tell its codes, and code 3 is no weight of ours
  const ours = blocks.filter((block) => {
    const scale = scaleOf(bytesOf(block));
    return scale !== 0 && block.values.every((value) => Math.abs(value! / scale) < 1.5);
  });

  test("most blocks can be written", () => expect(ours.length).toBeGreaterThanOrEqual(5));

  test.each(ours.map((block) => [block.note, block] as const))("%s: bytes", (_, block) => {
    const golden = bytesOf(block);
    const scale = scaleOf(golden);
    const codes = block.values.map((value) => Math.round(value! / scale) + 1);
    expect(Buffer.from(written(codes, scale)).toString("hex")).toBe(block.hex);
  });
});
