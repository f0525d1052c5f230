/** A source over bytes that are already in memory. */
import { LmError } from "../errors.ts";
import { type ByteSource, checkRange } from "./byte-source.ts";

/** The error of a read after `close()`. */
export function sourceClosedError(name: string): LmError {
  return new LmError("source-closed", `bytes: '${name}' was closed; nothing can be read from it`);
}

/** A source over `bytes`, which must not change while it is in use; reads are copies. */
export function memorySource(bytes: Uint8Array, name = "memory"): ByteSource {
  const range = { name, size: bytes.length };
  let isClosed = false;
  const readSync = (offset: number, length: number): Uint8Array => {
    if (isClosed) throw sourceClosedError(name);
    checkRange(range, offset, length);
    return bytes.slice(offset, offset + length);
  };
  return {
    ...range,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      return readSync(offset, length);
    },
    readSync,
    async close() {
      isClosed = true;
    },
  };
}
