/**
 * GPT-2's alphabet: every byte stands in the vocabulary as one printable character, so that texts have no spaces or controls.
 * Source: openai/gpt-2 src/encoder.py `bytes_to_unicode` @9b63575ef42771a015060c964af2c3da4cf7c8ab.
 */

/** Code point → byte for code points below 0x144, -1 elsewhere. */
const BYTE_OF: Int16Array = buildByteOf();

function buildByteOf(): Int16Array {
  const byteOf = new Int16Array(0x144).fill(-1);
  let extra = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    byteOf[isPrintable ? byte : extra++] = byte;
  }
  return byteOf;
}

/**
 * Translates UTF-8 text of that alphabet in bytes[start, end) to the bytes it stands for, into `out` at `at`.
 * Gives the end in `out`, or -1 where a character is not of the alphabet. `out` needs end - start bytes.
 */
export function alphabetToBytes(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  let to = at;
  for (let i = start; i < end; ) {
    let point = bytes[i++]!;
    if (point >= 0x80) {
      // Every character of the alphabet has one or two bytes.
      if (point < 0xc2 || point > 0xc5 || i >= end) return -1;
      point = ((point & 31) << 6) | (bytes[i++]! & 63);
    }
    const byte = point < 0x144 ? BYTE_OF[point]! : -1;
    if (byte < 0) return -1;
    out[to++] = byte;
  }
  return to;
}
