import { describe, expect, it } from "vitest";
import { packStrings } from "../bytes/packed-strings.ts";
import { GgufError } from "../errors.ts";
import { type GgufEntry, GgufMetadata, quoted } from "./metadata.ts";

const entries: readonly GgufEntry[] = [
  { key: "s", type: "string", byteOffset: 24, value: "text" },
  { key: "n", type: "u32", byteOffset: 50, value: 7 },
  { key: "big", type: "u64", byteOffset: 60, value: 2n ** 60n },
  { key: "b", type: "bool", byteOffset: 70, value: false },
  { key: "ss", type: "array", elementType: "string", byteOffset: 80, value: packStrings(["a", "b"]) },
  { key: "ns", type: "array", elementType: "f32", byteOffset: 90, value: new Float32Array([1, 2]) },
  { key: "ws", type: "array", elementType: "u64", byteOffset: 100, value: new BigUint64Array([1n, 2n ** 53n - 1n]) },
  { key: "ws.big", type: "array", elementType: "i64", byteOffset: 110, value: new BigInt64Array([-(2n ** 53n)]) },
  { key: "bs", type: "array", elementType: "bool", byteOffset: 120, value: [true, false] },
  { key: "__proto__", type: "u32", byteOffset: 130, value: 1 },
];

describe.each([
  ["built", new GgufMetadata(entries)],
  ["rebuilt from a clone", new GgufMetadata(structuredClone(entries))],
])("metadata, %s", (_name, metadata) => {
  it("gives values of the right type", () => {
    expect(metadata.string("s")).toBe("text");
    expect(metadata.number("n")).toBe(7);
    expect(metadata.bool("b")).toBe(false);
    expect(metadata.strings("ss")!.offsets.length).toBe(3);
    expect(metadata.numbers("ns")).toEqual(new Float32Array([1, 2]));
    expect(metadata.numbers("ws")).toEqual(new Float64Array([1, 2 ** 53 - 1]));
    expect(metadata.bools("bs")).toEqual([true, false]);
    expect(metadata.number("__proto__")).toBe(1);
    expect(metadata.has("n")).toBe(true);
    expect(metadata.entry("s")).toMatchObject({ byteOffset: 24, type: "string" });
  });

  it("gives undefined for a missing key, whatever Object.prototype has", () => {
    for (const key of ["x", "constructor", "toString", ""]) {
      expect(metadata.has(key)).toBe(false);
      expect(metadata.entry(key)).toBeUndefined();
      expect(metadata.string(key)).toBeUndefined();
      expect(metadata.number(key)).toBeUndefined();
      expect(metadata.bool(key)).toBeUndefined();
      expect(metadata.strings(key)).toBeUndefined();
      expect(metadata.numbers(key)).toBeUndefined();
      expect(metadata.bools(key)).toBeUndefined();
    }
  });

  it("refuses a value of another type, naming key, types and place", () => {
    const getters = ["string", "number", "bool", "strings", "numbers", "bools"] as const;
    const right: Record<string, string> = { s: "string", n: "number", b: "bool", ss: "strings", ns: "numbers", bs: "bools" };
    for (const [key, own] of Object.entries(right)) {
      for (const getter of getters.filter((name) => name !== own)) {
        expect(() => metadata[getter](key), `${getter}(${key})`).toThrow(expect.objectContaining({ code: "gguf-key-type" }));
      }
    }
    const error = (() => {
      try {
        return metadata.number("ss");
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(GgufError);
    expect(error).toMatchObject({ byteOffset: 80, data: { key: "ss", got: "array of string", expected: "a number" } });
    expect(String(error)).toContain("gguf: key 'ss' at byte 80 is array of string; must be a number");
  });

  it("refuses integers that a double cannot hold", () => {
    expect(() => metadata.number("big")).toThrow(expect.objectContaining({ code: "gguf-key-range", byteOffset: 60 }));
    expect(() => metadata.numbers("ws.big")).toThrow(expect.objectContaining({ code: "gguf-key-range", byteOffset: 110 }));
  });
});

describe("names in messages", () => {
  it("are escaped and short", () => {
    expect(quoted("a\n\u0000b")).toBe("'a\\n\\u0000b'");
    expect(quoted("x".repeat(1000)).length).toBeLessThan(90);
  });
});
