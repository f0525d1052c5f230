import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteWriter } from "./byte-writer.ts";

function written(write: (out: ByteWriter) => void): number[] {
  const out = new ByteWriter();
  write(out);
  return [...out.view()];
}

/** LEB128 decoded by its definition: 7 bits per byte, the last byte's bit 6 is the sign. */
function decode(bytes: readonly number[], isSigned: boolean): bigint {
  let value = 0n;
  bytes.forEach((byte, i) => {
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    expect(byte >= 0x80).toBe(i < bytes.length - 1);
  });
  return isSigned ? BigInt.asIntN(7 * bytes.length, value) : value;
}

test("writes the known encodings", () => {
  expect(written((out) => out.u32(624485))).toEqual([0xe5, 0x8e, 0x26]);
  expect(written((out) => out.u32(0xffff_ffff))).toEqual([0xff, 0xff, 0xff, 0xff, 0x0f]);
  expect(written((out) => out.s32(-123456))).toEqual([0xc0, 0xbb, 0x78]);
  expect(written((out) => out.s32(-(2 ** 31)))).toEqual([0x80, 0x80, 0x80, 0x80, 0x78]);
  expect(written((out) => out.s32(0xffff_ffff))).toEqual([0x7f]);
  expect(written((out) => out.s32(64))).toEqual([0xc0, 0x00]);
  expect(written((out) => out.s64(-(2n ** 63n)))).toEqual([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f]);
  expect(written((out) => out.name("é"))).toEqual([2, 0xc3, 0xa9]);
  expect(written((out) => out.f32(1))).toEqual([0, 0, 0x80, 0x3f]);
});

test("LEB128 is shortest and decodes to what was written", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (value) => {
      const bytes = written((out) => out.u32(value));
      expect(decode(bytes, false)).toBe(BigInt(value));
      expect(bytes.length).toBe(Math.max(1, Math.ceil(value.toString(2).length / 7)));
    }),
  );
  fc.assert(
    fc.property(fc.integer(), (value) => {
      expect(
        decode(
          written((out) => out.s32(value)),
          true,
        ),
      ).toBe(BigInt(value));
    }),
  );
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      expect(
        decode(
          written((out) => out.s64(value)),
          true,
        ),
      ).toBe(value);
    }),
  );
});

test("refuses what does not fit", () => {
  for (const value of [-1, 2 ** 32, 0.5, Number.NaN]) expect(() => written((out) => out.u32(value))).toThrow("not a u32");
  for (const value of [-(2 ** 31) - 1, 2 ** 32, 0.5]) expect(() => written((out) => out.s32(value))).toThrow("not an i32");
  for (const value of [2n ** 64n, -(2n ** 63n) - 1n, 2 ** 60, 0.5]) {
    expect(() => written((out) => out.s64(value))).toThrow("not an i64");
  }
});

test("grows and keeps its bytes", () => {
  const out = new ByteWriter(1);
  for (let i = 0; i < 1000; i++) out.u8(i & 0xff);
  out.bytes(new Uint8Array(100_000).fill(7));
  expect(out.length).toBe(101_000);
  expect([...out.view().subarray(0, 1000)]).toEqual(Array.from({ length: 1000 }, (_, i) => i & 0xff));
  expect(out.view()[100_999]).toBe(7);
});
