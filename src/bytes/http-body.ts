/** Reads bodies of HTTP answers: exactly n bytes, or all of it into pieces of bounded size. */
import type { HttpTarget } from "./http-errors.ts";
import { httpError, truncatedError } from "./http-errors.ts";

/** Largest piece that a whole download is kept in; one buffer of gigabytes is more than some engines can allocate. */
const CHUNK_BYTES = 16 * 1024 * 1024;

/** The parts of a Content-Range header; `total` is null for `*`. */
export interface ContentRange {
  readonly first: number;
  readonly last: number;
  readonly total: number | null;
}

/** Parses `bytes first-last/total`; null for anything else, or when the numbers contradict each other. */
export function parseContentRange(header: string | null): ContentRange | null {
  const match = /^\s*bytes\s+(\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)\s*$/i.exec(header ?? "");
  if (match === null) return null;
  const first = Number(match[1]);
  const last = Number(match[2]);
  const total = match[3] === "*" ? null : Number(match[3]);
  const isSafe = Number.isSafeInteger(last) && (total === null || Number.isSafeInteger(total));
  return isSafe && first <= last && (total === null || last < total) ? { first, last, total } : null;
}

/** The body, which must have exactly `length` bytes. @throws NetworkError `http-truncated`, `http-range-mismatch`. */
export async function readExactly(
  target: HttpTarget,
  response: Response,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let nBytes = 0;
  await forEachPiece(target, response, length, signal, (piece) => {
    if (piece.length > length - nBytes) {
      throw httpError("http-range-mismatch", target, response, `sent more than the ${length} bytes that it was asked for`, {
        hint: "The server or a proxy before it handles Range requests wrongly.",
      });
    }
    bytes.set(piece, nBytes);
    nBytes += piece.length;
  });
  if (nBytes < length) throw truncatedError(target, response, nBytes, length);
  return bytes;
}

/** A file in pieces of `CHUNK_BYTES`; only the last may be shorter. */
export class ByteChunks {
  #chunks: Uint8Array[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  append(piece: Uint8Array): void {
    for (let done = 0; done < piece.length; ) {
      const used = this.#size % CHUNK_BYTES;
      if (used === 0) this.#chunks.push(new Uint8Array(CHUNK_BYTES));
      const n = Math.min(piece.length - done, CHUNK_BYTES - used);
      this.#chunks.at(-1)!.set(piece.subarray(done, done + n), used);
      this.#size += n;
      done += n;
    }
  }

  /** Gives back what the last piece does not use. */
  finish(): void {
    const used = this.#size % CHUNK_BYTES;
    const last = this.#chunks.pop();
    if (last !== undefined) this.#chunks.push(used === 0 ? last : last.slice(0, used));
  }

  /** A copy of [offset, offset + length), which the caller has checked. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const start = at % CHUNK_BYTES;
      const piece = this.#chunks[Math.floor(at / CHUNK_BYTES)]!.subarray(start, start + length - done);
      bytes.set(piece, done);
      done += piece.length;
    }
    return bytes;
  }

  clear(): void {
    this.#chunks = [];
  }
}

/** The whole body. @throws NetworkError `http-truncated` when Content-Length promises another size, `http-html`. */
export async function readToEnd(target: HttpTarget, response: Response, signal?: AbortSignal): Promise<ByteChunks> {
  const chunks = new ByteChunks();
  // Content-Length counts compressed bytes, so it says nothing about a body that fetch has unpacked.
  const isEncoded = response.headers.get("content-encoding") !== null;
  const header = response.headers.get("content-length");
  const promised = header !== null && !isEncoded && /^\d{1,15}$/.test(header) ? Number(header) : null;
  await forEachPiece(target, response, promised, signal, (piece) => {
    if (chunks.size === 0 && /^\s*<(?:!doctype html|html)/i.test(new TextDecoder("latin1").decode(piece.subarray(0, 64)))) {
      throw httpError("http-html", target, response, "answered with an HTML page instead of a file", {
        hint: "Use the direct download link of the file, not the page that shows it.",
      });
    }
    chunks.append(piece);
  });
  if (promised !== null && chunks.size !== promised) throw truncatedError(target, response, chunks.size, promised);
  chunks.finish();
  return chunks;
}

async function forEachPiece(
  target: HttpTarget,
  response: Response,
  wanted: number | null,
  signal: AbortSignal | undefined,
  take: (piece: Uint8Array) => void,
): Promise<void> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  let nBytes = 0;
  let isDone = false;
  // A custom fetch may ignore the signal, and a stalled body never looks at it.
  const onAbort = (): void => void reader.cancel(signal?.reason).catch(ignoreCancel);
  signal?.addEventListener("abort", onAbort);
  try {
    signal?.throwIfAborted();
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        signal?.throwIfAborted();
        throw truncatedError(target, response, nBytes, wanted, cause);
      });
      signal?.throwIfAborted();
      if (done) {
        isDone = true;
        return;
      }
      nBytes += value.length;
      take(value);
    }
  } finally {
    signal?.removeEventListener("abort", onAbort);
    if (!isDone) await reader.cancel().catch(ignoreCancel);
  }
}

/** The body is not wanted any more, so its failure says nothing new. */
function ignoreCancel(): void {}
