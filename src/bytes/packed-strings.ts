/**
 * Many strings in two flat arrays, so that a vocabulary costs two allocations instead of one object a token.
 * Plain data: survives `structuredClone` and transfer. Strings stay bytes, because token texts need not be valid UTF-8.
 */
import { LmError } from "../errors.ts";

/** Many strings in two flat arrays, decoded on demand: 280,147 merges cost 5 MB instead of 280,147 objects. */
export interface PackedStrings {
  /** UTF-8 bytes of all strings, back to back. */
  readonly bytes: Uint8Array;
  /** [n + 1]; string i is `bytes[offsets[i] .. offsets[i + 1])`. */
  readonly offsets: Uint32Array;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** Number of strings in `packed`. */
export function packedCount(packed: PackedStrings): number {
  return Math.max(0, packed.offsets.length - 1);
}

/**
 * The bytes of string `index`, a view into `packed.bytes`.
 * @throws LmError `packed-index` when there is no such string.
 */
export function packedBytes(packed: PackedStrings, index: number): Uint8Array {
  const start = packed.offsets[index];
  const end = packed.offsets[index + 1];
  if (start === undefined || end === undefined) {
    throw new LmError("packed-index", `strings: index ${index} is outside 0..${packedCount(packed) - 1}`, { data: { index } });
  }
  return packed.bytes.subarray(start, end);
}

/**
 * String `index` as text; bytes that are not UTF-8 become U+FFFD.
 * @throws LmError `packed-index` when there is no such string.
 */
export function packedString(packed: PackedStrings, index: number): string {
  const bytes = packedBytes(packed, index);
  // TextDecoder refuses views of shared memory in browsers.
  return decoder.decode(
    typeof SharedArrayBuffer !== "undefined" && bytes.buffer instanceof SharedArrayBuffer ? bytes.slice() : bytes,
  );
}

/** Packs `strings` as UTF-8, in order. */
export function packStrings(strings: readonly string[]): PackedStrings {
  const encoded = strings.map((text) => encoder.encode(text));
  const offsets = new Uint32Array(strings.length + 1);
  let nBytes = 0;
  for (let i = 0; i < encoded.length; i++) {
    nBytes += encoded[i]!.length;
    offsets[i + 1] = nBytes;
  }
  const bytes = new Uint8Array(nBytes);
  for (let i = 0; i < encoded.length; i++) bytes.set(encoded[i]!, offsets[i]!);
  return { bytes, offsets };
}
