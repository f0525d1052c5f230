import { describe, expect, it } from "vitest";
import { sampleInput } from "../../tests/files/sample.ts";
import { memorySource } from "../bytes/memory.ts";
import { packStrings } from "../bytes/packed-strings.ts";
import { readGguf } from "./reader.ts";
import { type GgufWriteEntry, ggufHeader, writeGguf } from "./writer.ts";

describe("writing and reading", () => {
  it.each([2, 3] as const)("version %i gives back every value and every tensor", async (version) => {
    const bytes = writeGguf({ ...sampleInput, version });
    const file = await readGguf(memorySource(bytes));
    expect(file.version).toBe(version);
    expect(file.metadata.entries.map(({ byteOffset: _, ...entry }) => entry)).toEqual(sampleInput.metadata);
    expect(file.tensors.map(({ name, shape, format }) => ({ name, shape, format }))).toEqual(
      sampleInput.tensors.map(({ name, shape, format }) => ({ name, shape, format })),
    );
    for (const [i, tensor] of file.tensors.entries()) {
      expect(bytes.slice(tensor.byteOffset, tensor.byteOffset + tensor.nBytes)).toEqual(sampleInput.tensors[i]!.data);
    }
  });

  it("written again gives the same bytes", async () => {
    const bytes = writeGguf(sampleInput);
    const { metadata } = await readGguf(memorySource(bytes));
    expect(writeGguf({ ...sampleInput, metadata: metadata.entries })).toEqual(bytes);
  });

  it("the header alone places the tensors of the whole file", () => {
    const bytes = writeGguf(sampleInput);
    const header = ggufHeader({
      metadata: sampleInput.metadata,
      tensors: sampleInput.tensors.map(({ name, shape, format }) => ({ name, shape, format: format! })),
    });
    expect(header.bytes).toEqual(bytes.slice(0, header.dataOffset));
    expect(header.bytes.length).toBe(header.dataOffset);
    expect(header.size).toBe(bytes.length);
    for (const [i, { byteOffset, nBytes }] of header.tensors.entries()) {
      expect(bytes.slice(byteOffset, byteOffset + nBytes)).toEqual(sampleInput.tensors[i]!.data);
    }
  });

  it("an alignment other than 32 is written as a key", async () => {
    const bytes = writeGguf({ ...sampleInput, metadata: [], alignment: 128 });
    const file = await readGguf(memorySource(bytes));
    expect(file.alignment).toBe(128);
    expect(file.metadata.number("general.alignment")).toBe(128);
    expect(file.tensors.every(({ byteOffset }) => byteOffset % 128 === 0)).toBe(true);
  });

  it("takes plain arrays, and a header of more than the first buffer", async () => {
    const strings = Array.from({ length: 3000 }, (_, i) => `token ${i}`);
    const bytes = writeGguf({
      metadata: [
        // First, so that single bytes are written across the end of the first buffer.
        { key: "bytes", type: "array", elementType: "u8", value: Array.from({ length: 5000 }, (_, i) => i & 0xff) },
        { key: "s", type: "array", elementType: "string", value: strings },
        { key: "n", type: "array", elementType: "u16", value: [1, 2, 3] },
        { key: "u", type: "array", value: new Uint32Array(5000).fill(9) },
        ...Array.from({ length: 400 }, (_, i): GgufWriteEntry => ({ key: `b${i}`, type: "bool", value: true })),
      ],
      tensors: [],
    });
    const { metadata } = await readGguf(memorySource(bytes));
    expect(metadata.strings("s")).toEqual(packStrings(strings));
    expect(metadata.numbers("n")).toEqual(new Uint16Array([1, 2, 3]));
    expect(metadata.numbers("bytes")).toEqual(Uint8Array.from({ length: 5000 }, (_, i) => i & 0xff));
    expect(metadata.numbers("u")).toEqual(new Uint32Array(5000).fill(9));
    expect(Array.from({ length: 400 }, (_, i) => metadata.bool(`b${i}`))).toEqual(new Array(400).fill(true));
  });

  it("64-bit integers are numbers up to 2^53 - 1 and bigints beyond", async () => {
    const most = 2n ** 53n - 1n;
    const values = [most, most + 1n, most + 2n, 2n ** 54n];
    const metadata = [
      ...values.map((value, i): GgufWriteEntry => ({ key: `u${i}`, type: "u64", value })),
      ...values.map((value, i): GgufWriteEntry => ({ key: `i${i}`, type: "i64", value: -value })),
    ];
    const file = await readGguf(memorySource(writeGguf({ metadata, tensors: [] })));
    expect(file.metadata.entries.map(({ value }) => value)).toEqual([
      ...[Number(most), most + 1n, most + 2n, 2n ** 54n],
      ...[-Number(most), -most - 1n, -most - 2n, -(2n ** 54n)],
    ]);
  });

  it("writes a raw type id as given", () => {
    const bytes = writeGguf({ metadata: [], tensors: [{ name: "t", shape: [3], typeId: 99, data: new Uint8Array(5) }] });
    expect(new DataView(bytes.buffer).getUint32(24 + 9 + 4 + 8, true)).toBe(99);
  });
});

describe("what the writer refuses", () => {
  const entry = (
    key: string,
    type: GgufWriteEntry["type"],
    value: GgufWriteEntry["value"],
    elementType?: GgufWriteEntry["elementType"],
  ) => ({
    key,
    type,
    value,
    elementType,
  });
  const bad: readonly (readonly [string, readonly GgufWriteEntry[]])[] = [
    ["u8 of 256", [entry("k", "u8", 256)]],
    ["u8 of -1", [entry("k", "u8", -1)]],
    ["i8 of 128", [entry("k", "i8", 128)]],
    ["u32 of 2^32", [entry("k", "u32", 2 ** 32)]],
    ["u32 of 0.5", [entry("k", "u32", 0.5)]],
    ["u64 of 2^53 as a number", [entry("k", "u64", 2 ** 53)]],
    ["u64 of 2^64", [entry("k", "u64", 2n ** 64n)]],
    ["bool of 1", [entry("k", "bool", 1)]],
    ["string of 1", [entry("k", "string", 1)]],
    ["u32 of text", [entry("k", "u32", "1")]],
    ["an array of a scalar", [entry("k", "array", 1, "u8")]],
    ["an array without a type", [entry("k", "array", [1, 2])]],
    ["strings as numbers", [entry("k", "array", packStrings(["a"]), "u8")]],
    ["an empty key", [entry("", "u8", 1)]],
    ["a key twice", [entry("k", "u8", 1), entry("k", "u8", 1)]],
    ["alignment 33", [entry("general.alignment", "u32", 33)]],
    ["alignment as u64", [entry("general.alignment", "u64", 32)]],
  ];
  it.each(bad)("%s", (_name, metadata) => {
    expect(() => writeGguf({ metadata, tensors: [] })).toThrow(expect.objectContaining({ code: "gguf-write" }));
  });

  it("tensors of the wrong size or with the same name", () => {
    const tensor = { name: "t", shape: [32], format: "Q4_0" as const, data: new Uint8Array(18) };
    expect(() => writeGguf({ metadata: [], tensors: [{ ...tensor, data: new Uint8Array(17) }] })).toThrow(
      /17 bytes; must have 18/,
    );
    expect(() => writeGguf({ metadata: [], tensors: [tensor, tensor] })).toThrow(/twice/);
    expect(() => writeGguf({ metadata: [], tensors: [{ ...tensor, shape: [31] }] })).toThrow(
      expect.objectContaining({ code: "quant-row-length" }),
    );
    expect(() => writeGguf({ metadata: [], alignment: 64, tensors: [tensor] })).not.toThrow();
    expect(() =>
      writeGguf({ metadata: [{ key: "general.alignment", type: "u32", value: 32 }], alignment: 64, tensors: [] }),
    ).toThrow(expect.objectContaining({ code: "gguf-write" }));
  });
});
