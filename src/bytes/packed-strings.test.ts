import { describe, expect, it } from "vitest";
import { packedBytes, packedCount, packedString, packStrings } from "./packed-strings.ts";

describe("packed strings", () => {
  it("gives back what was packed, byte order marks and empty strings included", () => {
    const texts = ["", "a", "\ufeffb", "ünï", "\u{1f600}", ""];
    const packed = packStrings(texts);
    expect(packedCount(packed)).toBe(6);
    expect(texts.map((_, i) => packedString(packed, i))).toEqual(texts);
    expect(Array.from(packed.offsets)).toEqual([0, 0, 1, 5, 10, 14, 14]);
    expect(packedString(structuredClone(packed), 3)).toBe("ünï");
  });

  it("keeps bytes that are not UTF-8 and shows them as U+FFFD", () => {
    const packed = { bytes: new Uint8Array([0xff, 0x61]), offsets: new Uint32Array([0, 2]) };
    expect(packedString(packed, 0)).toBe("\ufffda");
    expect(packedBytes(packed, 0)).toEqual(new Uint8Array([0xff, 0x61]));
  });

  it("reads from shared memory", () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(2));
    bytes.set([0x68, 0x69]);
    expect(packedString({ bytes, offsets: new Uint32Array([0, 2]) }, 0)).toBe("hi");
  });

  it("refuses an index outside", () => {
    const packed = packStrings(["a"]);
    for (const index of [-1, 1, 0.5, Number.NaN]) {
      expect(() => packedString(packed, index)).toThrow(expect.objectContaining({ code: "packed-index" }));
    }
    expect(packedCount({ bytes: new Uint8Array(0), offsets: new Uint32Array(0) })).toBe(0);
  });
});
