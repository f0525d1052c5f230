/** A source over a `Blob` or `File`: what a file picker gives. Its bytes stay where the browser keeps them until they are read. */
import { LmError } from "../errors.ts";
import { type ByteSource, checkRange } from "./byte-source.ts";
import { sourceClosedError } from "./memory.ts";

/**
 * A source over `blob`; synchronous reads exist where `FileReaderSync` does (dedicated workers).
 * @throws LmError `file-not-readable` on a read when the file behind the blob was moved or changed.
 */
export function blobSource(blob: Blob, name?: string): ByteSource {
  const label = name ?? ("name" in blob && typeof blob.name === "string" ? blob.name : "blob");
  const range = { name: label, size: blob.size };
  let isClosed = false;

  const check = (offset: number, length: number): void => {
    if (isClosed) throw sourceClosedError(label);
    checkRange(range, offset, length);
  };
  const checked = (buffer: ArrayBuffer, offset: number, length: number): Uint8Array => {
    if (buffer.byteLength === length) return new Uint8Array(buffer);
    throw notReadable(label, `gave ${buffer.byteLength} of ${length} bytes at ${offset}`, undefined);
  };

  const source: ByteSource = {
    ...range,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      check(offset, length);
      let buffer: ArrayBuffer;
      try {
        buffer = await blob.slice(offset, offset + length).arrayBuffer();
      } catch (cause) {
        throw notReadable(label, `could not be read at byte ${offset}`, cause);
      }
      signal?.throwIfAborted();
      return checked(buffer, offset, length);
    },
    async close() {
      isClosed = true;
    },
  };
  if (typeof FileReaderSync === "undefined") return source;
  return {
    ...source,
    readSync(offset, length) {
      check(offset, length);
      let buffer: ArrayBuffer;
      try {
        buffer = new FileReaderSync().readAsArrayBuffer(blob.slice(offset, offset + length));
      } catch (cause) {
        throw notReadable(label, `could not be read at byte ${offset}`, cause);
      }
      return checked(buffer, offset, length);
    },
  };
}

function notReadable(name: string, what: string, cause: unknown): LmError {
  return new LmError("file-not-readable", `bytes: '${name}' ${what}`, {
    cause,
    hint: "The file was probably moved, deleted or changed after it was chosen; choose it again.",
  });
}
