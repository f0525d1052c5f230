/** Copies of a GGUF with other metadata: for tests that need, say, a chat template in a model that has none. */
import { memorySource } from "../../src/bytes/memory.ts";
import { readGguf } from "../../src/gguf/reader.ts";
import { type GgufWriteEntry, writeGguf } from "../../src/gguf/writer.ts";

/** `bytes` with `entries` added or replaced, and the keys in `without` removed. */
export async function withMetadata(
  bytes: Uint8Array,
  entries: readonly GgufWriteEntry[],
  without: readonly string[] = [],
): Promise<Uint8Array> {
  const file = await readGguf(memorySource(bytes));
  const replaced = new Set([...entries.map((entry) => entry.key), ...without]);
  const kept = file.metadata.entries.filter((entry) => !replaced.has(entry.key)) as unknown as GgufWriteEntry[];
  return writeGguf({
    alignment: file.alignment,
    metadata: [...kept, ...entries],
    tensors: file.tensors.map(({ name, shape, typeId, byteOffset, nBytes }) => ({
      name,
      shape,
      typeId,
      data: bytes.subarray(byteOffset, byteOffset + nBytes),
    })),
  });
}
