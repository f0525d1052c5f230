/**
 * Ternary codes of I2_S as TQ2_0, llama.cpp's format of the same weights: 256 weights in 66 bytes: 64 bytes of codes, then an f16
 * scale. Byte 32h + p holds weights 128h + p, + 32, + 64, + 96 at bits 0, 2, 4, 6; codes 0, 1, 2 = −1, 0, +1.
 * Source: `block_tq2_0` in
 * https://github.com/ggml-org/llama.cpp/blob/aca2e6ce7909064dbfbf3bd168e9ad3db1826e6c/ggml/src/ggml-common.h; the order of the codes is
 * held to golden blocks in the test.
 */
import { f32ToF16 } from "../numerics/f16.ts";

const CODE_BYTES = 64;
const BLOCK_BYTES = 66;

/** I2_S has the same four weights in a byte, in the opposite order. */
const REVERSED = Uint8Array.from({ length: 256 }, (_, b) => ((b & 3) << 6) | ((b & 12) << 2) | ((b & 48) >> 2) | (b >> 6));

/** Bytes that `nBytes` of I2_S codes take in TQ2_0. */
export function tq2BytesOf(nBytes: number): number {
  return (nBytes / CODE_BYTES) * BLOCK_BYTES;
}

/** Writes whole blocks of 256 weights with the scale `scale`, an f16 value, to `out[0 .. tq2BytesOf(i2s.length))`. */
export function writeTq2(i2s: Uint8Array, scale: number, out: Uint8Array): void {
  const half = f32ToF16(scale);
  for (let from = 0, to = 0; from < i2s.length; from += CODE_BYTES, to += BLOCK_BYTES) {
    for (let i = 0; i < CODE_BYTES; i++) out[to + i] = REVERSED[i2s[from + i]!]!;
    out[to + CODE_BYTES] = half & 0xff;
    out[to + CODE_BYTES + 1] = half >> 8;
  }
}
