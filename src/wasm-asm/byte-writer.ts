/**
 * A growable byte buffer with the encodings of the Wasm binary format: LEB128 integers, IEEE 754 floats, names.
 * Source: WebAssembly core specification 3.0, §5.2 (WebAssembly/spec@wg-3.0).
 */

const utf8 = new TextEncoder();
const scratch = new DataView(new ArrayBuffer(8));
const scratchBytes = new Uint8Array(scratch.buffer);

export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(Math.max(capacity, 16));
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes so far, as a view that is valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(nBytes: number): void {
    if (this.#length + nBytes <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + nBytes));
    grown.set(this.view());
    this.#bytes = grown;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  bytes(values: ArrayLike<number>): void {
    this.#reserve(values.length);
    this.#bytes.set(values, this.#length);
    this.#length += values.length;
  }

  /** Unsigned LEB128 of an integer in [0, 2^32). */
  u32(value: number): void {
    if (!(Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff)) throw new Error(`wasm-asm: ${value} is not a u32`);
    this.#reserve(5);
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
  }

  /** Signed LEB128 of an i32; [2^31, 2^32) is taken as the same bits, as in the text format. */
  s32(value: number): void {
    if (!(Number.isInteger(value) && value >= -0x8000_0000 && value <= 0xffff_ffff)) {
      throw new Error(`wasm-asm: ${value} is not an i32`);
    }
    this.#reserve(5);
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      const isLast = rest === ((low & 0x40) === 0 ? 0 : -1); // the sign bit of the last byte extends
      this.#bytes[this.#length++] = isLast ? low : low | 0x80;
      if (isLast) return;
    }
  }

  /** Signed LEB128 of an i64; [2^63, 2^64) is taken as the same bits. A number must be a safe integer. */
  s64(value: bigint | number): void {
    const wide = typeof value === "bigint" || Number.isSafeInteger(value) ? BigInt(value) : null;
    if (wide === null || wide < -(1n << 63n) || wide >= 1n << 64n) throw new Error(`wasm-asm: ${value} is not an i64`);
    let rest = BigInt.asIntN(64, wide);
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      const isLast = rest === ((low & 0x40) === 0 ? 0n : -1n);
      this.u8(isLast ? low : low | 0x80);
      if (isLast) return;
    }
  }

  f32(value: number): void {
    scratch.setFloat32(0, value, true);
    this.bytes(scratchBytes.subarray(0, 4));
  }

  f64(value: number): void {
    scratch.setFloat64(0, value, true);
    this.bytes(scratchBytes);
  }

  /** A vector of bytes: length, then the bytes. */
  sized(values: ArrayLike<number>): void {
    this.u32(values.length);
    this.bytes(values);
  }

  name(text: string): void {
    this.sized(utf8.encode(text));
  }
}
