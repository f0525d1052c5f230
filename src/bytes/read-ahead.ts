/**
 * A source that fetches more than it is asked for: small reads that go forwards are served from one window, so that a model of a hundred
 * tensors is a few requests and not hundreds. For sources where a read is a round trip.
 */
import { type ByteSource, checkRange } from "./byte-source.ts";

/** Bytes of the window; also the largest piece that a read is split into. */
const WINDOW_BYTES = 8 * 2 ** 20;

/** `source` with a window of `windowBytes`. Reads that do not fit into the window pass by it, but take what it holds. */
export function readAhead(source: ByteSource, windowBytes: number = WINDOW_BYTES): ByteSource {
  let window: { readonly offset: number; readonly bytes: Uint8Array } = { offset: 0, bytes: new Uint8Array(0) };
  /** Reads are answered in order: two that need the same window fetch it once. */
  let last: Promise<unknown> = Promise.resolve();

  const held = (offset: number, length: number): Uint8Array | null => {
    const from = offset - window.offset;
    return from >= 0 && from < window.bytes.length
      ? window.bytes.subarray(from, Math.min(from + length, window.bytes.length))
      : null;
  };

  const read = async (offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> => {
    signal?.throwIfAborted();
    const out = new Uint8Array(length);
    const head = held(offset, length);
    if (head !== null) out.set(head);
    const got = head?.length ?? 0;
    const left = length - got;
    if (left === 0) return out;
    if (left >= windowBytes) {
      out.set(await source.read(offset + got, left, signal), got);
      return out;
    }
    const begin = offset + got;
    window = { offset: begin, bytes: await source.read(begin, Math.min(windowBytes, source.size - begin), signal) };
    out.set(window.bytes.subarray(0, left), got);
    return out;
  };

  return {
    name: source.name,
    size: source.size,
    read(offset, length, signal) {
      const result = last.then(() => {
        checkRange(source, offset, length);
        return read(offset, length, signal);
      });
      last = result.catch(() => {}); // whoever asked has the error; the next read only waits
      return result;
    },
    ...(source.close && { close: () => source.close!() }),
  };
}
