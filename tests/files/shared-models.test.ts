import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { openFileSource } from "../../src/bytes/file.ts";
import { memorySource } from "../../src/bytes/memory.ts";
import { alignUp } from "../../src/gguf/limits.ts";
import { readGguf } from "../../src/gguf/reader.ts";
import { writeGguf } from "../../src/gguf/writer.ts";
import { hasShared, sharedPath } from "../support/shared.ts";

const folders = ["golden", "models", "tokenizers"];
const paths = hasShared
  ? folders.flatMap((folder) =>
      readdirSync(sharedPath(folder))
        .filter((name) => name.endsWith(".gguf"))
        .map((name) => `${folder}/${name}`),
    )
  : [];

describe.skipIf(!hasShared)("models made by other programs (skipped: the full sets are not beside this checkout)", () => {
  it("there are about a hundred", () => {
    expect(paths.length).toBeGreaterThan(90);
  });

  it.each(paths)("%s: tensors follow each other without gaps and end with the file", async (path) => {
    const source = await openFileSource(sharedPath(path));
    const file = await readGguf(source);
    let end = file.dataOffset;
    for (const tensor of file.tensors) {
      expect(tensor.byteOffset).toBe(alignUp(end, file.alignment));
      end = tensor.byteOffset + tensor.nBytes;
    }
    if (file.tensors.length > 0) {
      expect(end).toBeLessThanOrEqual(file.size);
      expect(alignUp(end, file.alignment)).toBeGreaterThanOrEqual(file.size);
    }
    await source.close?.();
  });

  it("the writer repeats a file of another program byte for byte", async () => {
    const source = await openFileSource(sharedPath("models/stories-4m-i2_s.gguf"));
    const original = await source.read(0, source.size);
    const file = await readGguf(memorySource(original));
    const again = writeGguf({
      version: 3,
      alignment: file.alignment,
      metadata: file.metadata.entries,
      tensors: file.tensors.map(({ name, shape, format, byteOffset, nBytes }) => ({
        name,
        shape,
        format,
        data: original.slice(byteOffset, byteOffset + nBytes),
      })),
    });
    expect(Buffer.compare(again, original)).toBe(0);
    await source.close?.();
  });

  it("a vocabulary of 128,256 tokens and 280,147 merges parses in a few reads", async () => {
    const source = await openFileSource(sharedPath("tokenizers/ggml-vocab-llama-bpe.gguf"));
    const { metadata } = await readGguf(source);
    expect(metadata.strings("tokenizer.ggml.tokens")!.offsets.length - 1).toBe(128_256);
    expect(metadata.strings("tokenizer.ggml.merges")!.offsets.length - 1).toBe(280_147);
    expect(metadata.numbers("tokenizer.ggml.token_type")!.length).toBe(128_256);
    await source.close?.();
  });
});
