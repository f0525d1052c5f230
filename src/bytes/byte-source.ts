/**
 * The one way in which the engine reads bytes. Every read is checked: a source returns exactly what was asked for or throws.
 */
import { LmError } from "../errors.ts";

/** Random access to the bytes of one file, wherever it lies. */
export interface ByteSource {
  /** What to call it in messages (a path, a URL without its query, a file name). */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`, in a buffer that the caller owns.
   * @throws LmError `bytes-out-of-range` beyond the end; NetworkError; AbortError.
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** As `read`, where the platform can read without waiting (a path in Node, bytes, a Blob in a worker). */
  readSync?(offset: number, length: number): Uint8Array;
  /** Frees handles. Reading afterwards is an error. */
  close?(): Promise<void>;
}

/** Throws unless [offset, offset + length) lies inside `source`; never adds the two (they may be hostile). */
export function checkRange(source: { name: string; size: number }, offset: number, length: number): void {
  const isWhole = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!isWhole || offset > source.size || length > source.size - offset) {
    throw new LmError(
      "bytes-out-of-range",
      `bytes: read of ${length} bytes at ${offset} from '${source.name}' is outside its ${source.size} bytes`,
      { data: { offset, length, size: source.size } },
    );
  }
}
