/**
 * A forward reader over the header of a file: a window of the source, refilled as the cursor moves, so that a remote file is
 * read in a few requests. Numbers are read synchronously after `need()`. Every length is compared with the bytes that remain.
 */
import type { ByteSource } from "../bytes/byte-source.ts";
import { GgufError } from "../errors.ts";
import { GGUF_LIMITS } from "./limits.ts";

/** 1 MiB: eight requests for the 7.8 MB header of a Llama 3 vocabulary, and little to waste on a small one. */
export const DEFAULT_WINDOW_BYTES = 1024 * 1024;

export class HeaderCursor {
  readonly #source: ByteSource;
  readonly #signal: AbortSignal | undefined;
  readonly #windowBytes: number;
  /** First byte behind what the header may use. */
  readonly #end: number;
  #window: Uint8Array = new Uint8Array(0);
  #view = new DataView(this.#window.buffer);
  #windowStart = 0;
  /** Position inside the window. */
  #at = 0;

  constructor(source: ByteSource, signal: AbortSignal | undefined, windowBytes = DEFAULT_WINDOW_BYTES) {
    this.#source = source;
    this.#signal = signal;
    this.#windowBytes = windowBytes;
    this.#end = Math.min(source.size, GGUF_LIMITS.headerBytes);
  }

  /** Absolute position in the file. */
  get position(): number {
    return this.#windowStart + this.#at;
  }

  /** Bytes that the header may still use. */
  get remaining(): number {
    return this.#end - this.position;
  }

  /** The first bytes of the file, at most `n`, without moving. Only before the first read. */
  async peekStart(n: number): Promise<Uint8Array> {
    const length = Math.min(n, this.remaining);
    if (this.#window.length < length) await this.#refill(length);
    return this.#window.slice(0, length);
  }

  /** True if `n` bytes can be read without waiting. */
  has(n: number): boolean {
    return n <= this.#window.length - this.#at;
  }

  /** Makes `n` bytes readable. @throws GgufError `gguf-truncated`, `gguf-header-size`. */
  async need(n: number, what: string): Promise<void> {
    if (this.has(n)) return;
    this.#assertRemaining(n, what);
    await this.#refill(n);
  }

  /** `n` bytes in a buffer of their own. */
  async bytes(n: number, what: string): Promise<Uint8Array> {
    this.#assertRemaining(n, what);
    if (!this.has(n) && n <= this.#windowBytes) await this.#refill(n);
    if (this.has(n)) {
      this.#at += n;
      return this.#window.slice(this.#at - n, this.#at);
    }
    const bytes = await this.#source.read(this.position, n, this.#signal);
    this.#windowStart = this.position + n;
    this.#setWindow(new Uint8Array(0));
    return bytes;
  }

  /** Copies `n` bytes that are in the window to `target` at `offset`. */
  copyTo(target: Uint8Array, offset: number, n: number): void {
    const from = this.#at;
    const window = this.#window;
    // Token texts are short: a loop is several times faster than making a view for each.
    if (n < 32) for (let i = 0; i < n; i++) target[offset + i] = window[from + i]!;
    else target.set(window.subarray(from, from + n), offset);
    this.#at = from + n;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }
  i8(): number {
    return this.#view.getInt8(this.#advance(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }
  i16(): number {
    return this.#view.getInt16(this.#advance(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }
  i32(): number {
    return this.#view.getInt32(this.#advance(4), true);
  }
  f32(): number {
    return this.#view.getFloat32(this.#advance(4), true);
  }
  f64(): number {
    return this.#view.getFloat64(this.#advance(8), true);
  }

  /** A number when it is exact, else a bigint. */
  u64(): number | bigint {
    const at = this.#advance(8);
    const high = this.#view.getUint32(at + 4, true);
    if (high < 0x200000) return high * 0x1_0000_0000 + this.#view.getUint32(at, true);
    return this.#view.getBigUint64(at, true);
  }

  /** A number when it is exact, else a bigint. */
  i64(): number | bigint {
    const value = this.#view.getBigInt64(this.#advance(8), true);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  #advance(n: number): number {
    const at = this.#at;
    this.#at = at + n;
    return at;
  }

  #assertRemaining(n: number, what: string): void {
    if (n <= this.remaining) return;
    const at = this.position;
    const left = this.#source.size - at;
    if (n > left) {
      throw new GgufError("gguf-truncated", `gguf: ${what} at byte ${at} needs ${n} bytes, but only ${left} are left`, at, {
        data: { needed: n, left },
        hint: "The file is cut short or damaged; download it again.",
      });
    }
    throw new GgufError(
      "gguf-header-size",
      `gguf: ${what} at byte ${at} reaches beyond the first ${GGUF_LIMITS.headerBytes} bytes, where a header must end`,
      at,
    );
  }

  async #refill(n: number): Promise<void> {
    const start = this.position;
    const bytes = await this.#source.read(start, Math.min(this.remaining, Math.max(n, this.#windowBytes)), this.#signal);
    this.#windowStart = start;
    this.#setWindow(bytes);
  }

  #setWindow(bytes: Uint8Array): void {
    this.#window = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = 0;
  }
}
