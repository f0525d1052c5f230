/**
 * The bytes that a token stands for. Source: src/llama-vocab.cpp, `llama_vocab::impl::token_to_piece`, github.com/ggml-org/llama.cpp
 * @00ad355e009e83abf98f96a6ded7193b95763681: control, unknown and user-defined texts are literal, unused and undefined ones are
 * empty. Token texts need not be UTF-8 by themselves: they are bytes here, and become text only when decoded in a row.
 */
import { type PackedStrings, packedCount } from "../bytes/packed-strings.ts";
import { alphabetToBytes } from "./byte-alphabet.ts";
import { unescapeRwkv } from "./rwkv.ts";
import { TOKEN_TYPE, type TokenizerSpec } from "./spec.ts";

/** Type of a token; all are normal where the file says nothing. */
export function typeOf(spec: TokenizerSpec, id: number): number {
  return spec.types === null ? TOKEN_TYPE.normal : spec.types[id]!;
}

/** Value of a byte token `<0xXX>`, or -1 for any other text. */
export function byteTokenValue(tokens: PackedStrings, id: number): number {
  const { bytes, offsets } = tokens;
  const at = offsets[id]!;
  if (offsets[id + 1]! - at !== 6) return -1;
  const isFrame = bytes[at] === 0x3c && bytes[at + 1] === 0x30 && bytes[at + 2] === 0x78 && bytes[at + 5] === 0x3e;
  const high = hexValue(bytes[at + 3]!);
  const low = hexValue(bytes[at + 4]!);
  return isFrame && high >= 0 && low >= 0 ? high * 16 + low : -1;
}

function hexValue(char: number): number {
  if (char >= 0x30 && char <= 0x39) return char - 0x30;
  const letter = char | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}

/** [256] id of each byte token, -1 = none; where `<0xXX>` is missing, the token whose text is that byte. */
export function byteTokenIds(spec: TokenizerSpec): Int32Array {
  const { tokens } = spec;
  const ids = new Int32Array(256).fill(-1);
  const literal = new Int32Array(256).fill(-1);
  const n = packedCount(tokens);
  for (let id = 0; id < n; id++) {
    const value = byteTokenValue(tokens, id);
    if (value >= 0 && ids[value] === -1) ids[value] = id;
    const at = tokens.offsets[id]!;
    if (tokens.offsets[id + 1]! - at === 1 && literal[tokens.bytes[at]!] === -1) literal[tokens.bytes[at]!] = id;
  }
  for (let byte = 0; byte < 256; byte++) if (ids[byte] === -1) ids[byte] = literal[byte]!;
  return ids;
}

/** All tokens as the bytes they stand for, literal ones included; the special types keep their text. */
export function rawTokenBytes(spec: TokenizerSpec): PackedStrings {
  if (spec.model === "rwkv") return unescapeRwkv(spec.tokens);
  const { tokens } = spec;
  const n = packedCount(tokens);
  const bytes = new Uint8Array(tokens.bytes.length);
  const offsets = new Uint32Array(n + 1);
  const isAlphabet = spec.model === "bpe";
  let to = 0;
  for (let id = 0; id < n; id++) {
    const start = tokens.offsets[id]!;
    const end = tokens.offsets[id + 1]!;
    const type = typeOf(spec, id);
    const value = type === TOKEN_TYPE.byte ? byteTokenValue(tokens, id) : -1;
    const isLiteral = type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown || type === TOKEN_TYPE.userDefined;
    if (value >= 0) {
      bytes[to++] = value;
    } else {
      const stop = isLiteral
        ? -1
        : isAlphabet
          ? alphabetToBytes(tokens.bytes, start, end, bytes, to)
          : marksToSpaces(tokens.bytes, start, end, bytes, to);
      if (stop >= 0) {
        to = stop;
      } else {
        bytes.set(tokens.bytes.subarray(start, end), to);
        to += end - start;
      }
    }
    offsets[id + 1] = to;
  }
  return { bytes: bytes.subarray(0, to), offsets };
}

/** Copies bytes[start, end) with each "▁" (E2 96 81) as a space; gives the end in `out`. */
function marksToSpaces(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  let to = at;
  for (let i = start; i < end; i++) {
    if (bytes[i] === 0xe2 && i + 2 < end && bytes[i + 1] === 0x96 && bytes[i + 2] === 0x81) {
      out[to++] = 0x20;
      i += 2;
    } else {
      out[to++] = bytes[i]!;
    }
  }
  return to;
}
