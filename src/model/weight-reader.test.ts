/** Rows of weights from a file: in pieces, in the canonical layout, with the tensor's scale. */
import { describe, expect, it } from "vitest";
import { bitnetGguf } from "../../tests/support/synthetic.ts";
import { memorySource } from "../bytes/memory.ts";
import { readGguf } from "../gguf/reader.ts";
import { type GgufInput, writeGguf } from "../gguf/writer.ts";
import type { Weight } from "../graph/tensor.ts";
import { quantFormat } from "../quant/registry.ts";
import { FileWeightReader } from "./weight-reader.ts";

const base = bitnetGguf({ seed: 1, nLayer: 1, embdFormat: "I2_S" });
const TERNARY: Weight = { name: "blk.0.attn_q.weight", format: "I2_S", nRows: 128, nCols: 128 };
const EMBEDDING: Weight = { name: "token_embd.weight", format: "I2_S", nRows: 288, nCols: 128 };

async function reader(input: GgufInput, layout?: "neon" | "rows4"): Promise<FileWeightReader> {
  const source = memorySource(writeGguf(input));
  return new FileWeightReader(source, await readGguf(source), layout);
}

/** The file with every 128 codes of an I2_S tensor in NEON order: two groups of 64 in 16 bytes each. */
function inNeonOrder(input: GgufInput): GgufInput {
  const tensors = input.tensors.map((tensor) => {
    if (tensor.format !== "I2_S") return tensor;
    const data = tensor.data.slice();
    for (let block = 0; block < data.length - 32; block += 32) {
      const codes = Array.from({ length: 128 }, (_, i) => (tensor.data[block + (i % 32)]! >> (6 - 2 * (i >> 5))) & 3);
      for (let p = 0; p < 32; p++) {
        const at = 64 * Math.floor(p / 16) + (p % 16);
        data[block + p] = (codes[at]! << 6) | (codes[at + 16]! << 4) | (codes[at + 32]! << 2) | codes[at + 48]!;
      }
    }
    return { ...tensor, data };
  });
  return { ...input, tensors };
}

describe("FileWeightReader", () => {
  it("pieces of rows are the rows of the whole, with the scale behind all of them", async () => {
    const file = await reader(base);
    const whole = await file.rows(TERNARY, 0, 128);
    const piece = await file.rows(TERNARY, 64, 96);
    expect(piece.data).toEqual(whole.data.slice(64 * 32, 96 * 32));
    expect(piece.scale).toBe(whole.scale);
    expect(whole.scale).toBeCloseTo(1.4 / Math.sqrt(128) / Math.sqrt(2 / 3), 6);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "a scale of %d is refused at its place",
    async (scale) => {
      const tensors = base.tensors.map((tensor) => {
        if (tensor.name !== TERNARY.name) return tensor;
        const data = tensor.data.slice();
        new DataView(data.buffer).setFloat32(data.length - 32, scale, true);
        return { ...tensor, data };
      });
      const bytes = writeGguf({ ...base, tensors });
      const file = await readGguf(memorySource(bytes));
      const { byteOffset, nBytes } = file.tensors.find(({ name }) => name === TERNARY.name)!;
      const rows = new FileWeightReader(memorySource(bytes), file).rows(TERNARY, 0, 4);
      await expect(rows).rejects.toMatchObject({ code: "weight-scale", byteOffset: byteOffset + nBytes - 32 });
    },
  );

  it("a file in NEON order reads like the same file in x86 order, by pieces and row by row", async () => {
    const [x86, neon] = [await reader(base), await reader(inNeonOrder(base), "neon")];
    for (const weight of [TERNARY, EMBEDDING]) {
      expect(await neon.rows(weight, 4, 20)).toEqual(await x86.rows(weight, 4, 20));
      expect(neon.rowSync(weight, 7)).toEqual(x86.rowSync(weight, 7));
    }
  });

  it("a row that is read before any piece has the tensor's scale too", async () => {
    const file = await reader(base);
    const row = file.rowSync(EMBEDDING, 3);
    const out = new Float32Array(128);
    quantFormat("I2_S", "a test").dequantizeRow(row, 0, out);
    expect(row.scale).toBe((await file.rows(EMBEDDING, 0, 4)).scale);
  });
});
