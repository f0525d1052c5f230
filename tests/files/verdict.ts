/** One comparable result of reading a file: what was found, or which error where. */
import type { ByteSource } from "../../src/bytes/byte-source.ts";
import { GgufError, LmError } from "../../src/errors.ts";
import type { GgufFile } from "../../src/gguf/metadata.ts";
import { readGguf } from "../../src/gguf/reader.ts";

export interface Verdict {
  readonly file: GgufFile | null;
  readonly errorClass: string;
  readonly code: string | null;
  readonly byteOffset: number | null;
  readonly message: string;
}

/** Reads `source`; rethrows what is not a typed error of the engine. */
export async function verdictOf(source: ByteSource, windowBytes?: number): Promise<Verdict> {
  try {
    const file = await readGguf(source, { windowBytes });
    return { file, errorClass: "", code: null, byteOffset: null, message: "" };
  } catch (error) {
    if (!(error instanceof LmError)) throw error;
    const byteOffset = error instanceof GgufError ? error.byteOffset : ((error.data["byteOffset"] as number | undefined) ?? null);
    return { file: null, errorClass: error.name, code: error.code, byteOffset, message: error.message };
  }
}

/** The parts of a verdict that must agree between sources. */
export function comparable(verdict: Verdict): string {
  const { file, errorClass, code, byteOffset } = verdict;
  return file === null
    ? `${errorClass} ${code} at ${byteOffset}`
    : `ok ${file.tensors.length} ${file.metadata.entries.length} ${file.dataOffset}`;
}

/** A source that counts, for bounds on work: each read makes one buffer, and nothing else of the reader depends on the file's claims. */
export function counted(source: ByteSource): { source: ByteSource; count: { nReads: number; nBytes: number } } {
  const count = { nReads: 0, nBytes: 0 };
  return {
    count,
    source: {
      name: source.name,
      size: source.size,
      read(offset, length, signal) {
        count.nReads++;
        count.nBytes += length;
        return source.read(offset, length, signal);
      },
    },
  };
}
