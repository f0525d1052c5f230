import { expect, test } from "vitest";
import { memorySource } from "../bytes/memory.ts";
import { UnsupportedError } from "../errors.ts";
import { readGguf } from "../gguf/reader.ts";
import { f16ToF32 } from "../numerics/f16.ts";
import { i2_s } from "../quant/i2_s.ts";
import { syntheticModel } from "./models.ts";
import { syntheticFile } from "./stream.ts";

function whole(name: string, seed: number, nLayer?: number): Uint8Array {
  const { size, pieces } = syntheticFile(syntheticModel(name, nLayer), seed);
  const file = new Uint8Array(size);
  let end = 0;
  for (const { offset, bytes } of pieces()) {
    expect(offset).toBeGreaterThanOrEqual(end);
    file.set(bytes, offset);
    end = offset + bytes.length;
  }
  return file;
}

async function tensorOf(file: Uint8Array, name: string) {
  const tensor = (await readGguf(memorySource(file))).tensors.find((candidate) => candidate.name === name)!;
  return { ...tensor, data: file.subarray(tensor.byteOffset, tensor.byteOffset + tensor.nBytes) };
}

test("a seed gives the same file, another seed another one", () => {
  const file = whole("stories", 1);
  expect(whole("stories:i2_s", 1).length).toBe(whole("stories:I2_S", 1).length);
  expect(file).toEqual(whole("stories", 1));
  expect(file).not.toEqual(whole("stories", 2));
});

test("both types hold the same weights", async () => {
  const NAME = "blk.3.ffn_down.weight";
  const ours = await tensorOf(whole("stories", 7), NAME);
  const theirs = await tensorOf(whole("stories:tq2_0", 7), NAME);
  const [nCols, nRows] = ours.shape as [number, number];
  expect(theirs.shape).toEqual(ours.shape);
  expect(theirs.format).toBe("TQ2_0");
  const scale = new DataView(ours.data.buffer, ours.data.byteOffset).getFloat32((nCols * nRows) / 4, true);
  const row = new Float32Array(nCols);
  const seen = new Set<number>();
  for (let r = 0; r < nRows; r++) {
    i2_s.dequantizeRow({ nRows, nCols, data: ours.data, scale }, r, row);
    for (let i = 0; i < nCols; i++) {
      const at = (66 * (r * nCols + i - (i % 256))) / 256;
      const code = (theirs.data[at + 32 * ((i >> 7) & 1) + (i % 32)]! >> (2 * ((i >> 5) & 3))) & 3;
      const half = theirs.data[at + 64]! | (theirs.data[at + 65]! << 8);
      expect((code - 1) * f16ToF32(half)).toBe(row[i]);
      seen.add(code);
    }
  }
  expect([...seen].sort()).toEqual([0, 1, 2]);
});

test("the shape is the published one", async () => {
  const { shape } = syntheticModel("bitnet-2b-4t");
  expect(shape).toMatchObject({ architecture: "bitnet-b1.58", nEmbd: 2560, nLayer: 30, nHead: 20, nHeadKv: 5, nFf: 6912 });
  expect(syntheticModel("bitnet-2b-4t:tq2_0").shape).toEqual({ ...shape, architecture: "bitnet" });
  // codes and scale of a layer's matrices, the F16 embedding, norms: what the format says, and little more
  const nTernary = 30 * (2 * 2560 * 2560 + 2 * 2560 * 640 + 3 * 2560 * 6912);
  const size = nTernary / 4 + 2 * 2560 * 128_256;
  expect(syntheticFile(syntheticModel("bitnet-2b-4t"), 1).size / size).toBeCloseTo(1, 2);
  expect(syntheticModel("bitnet-2b-4t", 2).shape.nLayer).toBe(2);
});

test.each(["qwen2-0.5b", "", "stories:q4_0"])("'%s' is refused with what there is", (name) => {
  const expected = name.startsWith("stories") ? /i2_s, tq2_0/ : /bitnet-2b-4t, stories/;
  expect(() => syntheticModel(name)).toThrow(expected);
  expect(() => syntheticModel(name)).toThrow(UnsupportedError);
});
