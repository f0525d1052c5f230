import { describe, expect, it } from "vitest";
import { elementCount, geometryBytes, isFormatName, tensorBytes } from "./geometry.ts";

describe("tensor sizes", () => {
  it("count blocks of whole rows", () => {
    expect(tensorBytes("F32", [3, 5])).toBe(60);
    expect(tensorBytes("Q4_0", [64, 3])).toBe(2 * 18 * 3);
    expect(tensorBytes("Q6_K", [512, 2, 2])).toBe(2 * 210 * 4);
    expect(tensorBytes("Q2_0", [128])).toBe(36);
    expect(tensorBytes("Q2_0_G128", [128])).toBe(34);
  });

  it("of I2_S are a quarter of the weights and one tail of 32 bytes", () => {
    expect(tensorBytes("I2_S", [2560, 6912])).toBe((2560 * 6912) / 4 + 32);
    expect(tensorBytes("I2_S", [128])).toBe(64);
  });

  it("refuse rows that are not whole blocks, in words", () => {
    expect(() => tensorBytes("I2_S", [64, 2])).toThrow(/a row of 64 weights does not fit I2_S; must be a multiple of 128/);
    expect(() => tensorBytes("TQ2_0", [8640, 3200])).toThrow(expect.objectContaining({ code: "quant-row-length" }));
    expect(() => tensorBytes("Q4_0", [16, 2])).toThrow(expect.objectContaining({ code: "quant-row-length" }));
  });

  it("refuse shapes without sense, and products beyond 2^53 - 1", () => {
    for (const shape of [[], [0], [-1], [1.5], [Number.NaN], [2 ** 53], [Number.POSITIVE_INFINITY]]) {
      expect(() => tensorBytes("F32", shape)).toThrow(expect.objectContaining({ code: "quant-shape" }));
    }
    for (const shape of [
      [2 ** 31, 2 ** 31],
      [2 ** 26, 2 ** 26, 2],
      [2 ** 53 - 1, 2 ** 53 - 1],
      [2 ** 52],
      [3, 3_002_399_751_580_331],
    ]) {
      expect(() => tensorBytes("F32", shape)).toThrow(expect.objectContaining({ code: "quant-size" }));
    }
    expect(elementCount([2 ** 53 - 1])).toBe(2 ** 53 - 1);
    expect(() => geometryBytes("x", { blockElements: 1, blockBytes: 1, tailBytes: 32 }, [2 ** 53 - 1])).toThrow(
      expect.objectContaining({ code: "quant-size" }),
    );
  });

  it("names are looked up safely", () => {
    expect(isFormatName("I2_S")).toBe(true);
    for (const name of ["", "i2_s", "toString", "__proto__"]) expect(isFormatName(name)).toBe(false);
  });
});
