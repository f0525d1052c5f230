import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bf16ToF32, bf16ToF32Array, f16ToF32, f16ToF32Array, f32ToBf16, f32ToBf16Array, f32ToF16, f32ToF16Array } from "./f16.ts";

/** Value of a half from its definition. */
function halfByDefinition(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

type HalfArray = { [index: number]: number };
const Float16 = (globalThis as unknown as { Float16Array?: new (n: number) => HalfArray & { buffer: ArrayBuffer } }).Float16Array;

describe("binary16", () => {
  it("all 65,536 halves have their value and come back", () => {
    let nWrong = 0;
    for (let bits = 0; bits < 65536; bits++) {
      const value = f16ToF32(bits);
      const isNan = (bits & 0x7fff) > 0x7c00;
      if (!Object.is(value, halfByDefinition(bits))) nWrong++;
      if (f32ToF16(value) !== (isNan ? 0x7e00 : bits)) nWrong++;
    }
    expect(nWrong).toBe(0);
  });

  it("every midpoint of two neighbours goes to the even one, and its own neighbours to the near one", () => {
    const next = new Float32Array(1);
    const bitsOf = new Uint32Array(next.buffer);
    let nWrong = 0;
    for (let bits = 0; bits < 0x7bff; bits++) {
      next[0] = (f16ToF32(bits) + f16ToF32(bits + 1)) / 2;
      const middle = next[0];
      const even = bits & 1 ? bits + 1 : bits;
      if (f32ToF16(middle) !== even || f32ToF16(-middle) !== (even | 0x8000)) nWrong++;
      bitsOf[0]! += 1;
      if (f32ToF16(next[0]) !== bits + 1) nWrong++;
      bitsOf[0]! -= 2;
      if (f32ToF16(next[0]) !== bits) nWrong++;
    }
    expect(nWrong).toBe(0);
  });

  it.each([
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [-65520, 0xfc00],
    [1e30, 0x7c00],
    [2 ** -25, 0],
    [2 ** -25 * 1.0001, 1],
    [2 ** -24, 1],
    [1.5 * 2 ** -24, 2],
    [-0, 0x8000],
    [1e-40, 0],
    [1023.5 * 2 ** -24, 0x400],
    [Number.NaN, 0x7e00],
    [Number.NEGATIVE_INFINITY, 0xfc00],
  ])("%s is %s", (x, want) => {
    expect(f32ToF16(x)).toBe(want);
  });

  it.skipIf(Float16 === undefined)("agrees with Float16Array", () => {
    const half = new Float16!(1);
    const bits = new Uint16Array(half.buffer);
    fc.assert(
      fc.property(fc.oneof(fc.float({ noNaN: true }), fc.float({ min: -70000, max: 70000, noNaN: true })), (x) => {
        half[0] = x;
        return f32ToF16(x) === bits[0] && Object.is(f16ToF32(bits[0]!), half[0]);
      }),
      { numRuns: 50_000, seed: 1 },
    );
  });

  it("converts arrays, into a given one too", () => {
    const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001);
    expect([...f16ToF32Array(halves)]).toEqual([1, -2, 2 ** -24]);
    const out = new Float32Array(4);
    expect(f16ToF32Array(halves, out)).toBe(out);
    expect(f32ToF16Array(Float32Array.of(1, -2, 2 ** -24))).toEqual(halves);
    expect(() => f16ToF32Array(halves, new Float32Array(2))).toThrow(RangeError);
  });
});

describe("bfloat16", () => {
  it("all 65,536 patterns come back", () => {
    let nWrong = 0;
    for (let bits = 0; bits < 65536; bits++) {
      const isNan = (bits & 0x7fff) > 0x7f80;
      if (f32ToBf16(bf16ToF32(bits)) !== (isNan ? 0x7fc0 : bits)) nWrong++;
    }
    expect(nWrong).toBe(0);
  });
  it.each([
    [1, 0x3f80],
    [1 + 2 ** -8, 0x3f80],
    [1 + 3 * 2 ** -8, 0x3f82],
    [1 + 2 ** -8 + 2 ** -20, 0x3f81],
    [-1 - 2 ** -8 - 2 ** -20, 0xbf81],
    [3.4e38, 0x7f80],
    [2 ** -133, 1],
    [Number.NaN, 0x7fc0],
    [-0, 0x8000],
  ])("%s is %s", (x, want) => {
    expect(f32ToBf16(x)).toBe(want);
  });
  it("converts arrays", () => {
    expect([...bf16ToF32Array(Uint16Array.of(0x3f80, 0xc000))]).toEqual([1, -2]);
    expect([...f32ToBf16Array(Float32Array.of(1, -2))]).toEqual([0x3f80, 0xc000]);
  });
});
