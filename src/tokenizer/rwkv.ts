/**
 * RWKV World (`tokenizer.ggml.model` = "rwkv"): the longest token first, over bytes; texts in the file are escaped.
 * Source: src/llama-vocab.cpp, `llm_tokenizer_rwkv_session` and `llama_unescape_rwkv_token`, github.com/ggml-org/llama.cpp
 * @00ad355e009e83abf98f96a6ded7193b95763681.
 */
import { type PackedStrings, packedCount } from "../bytes/packed-strings.ts";
import type { TextEncoderModel } from "./bpe.ts";
import { ByteTrie } from "./byte-trie.ts";
import type { TokenizerSpec } from "./spec.ts";

/** Longer tokens decode but never come from text: it bounds the work per byte. Real ones have up to 128 bytes. */
const MAX_TOKEN_BYTES = 256;

const encoder = new TextEncoder();

export class Rwkv implements TextEncoderModel {
  readonly #trie: ByteTrie;
  readonly #unkId: number | null;

  constructor(spec: TokenizerSpec, raw: PackedStrings, isEncodable: (id: number) => boolean) {
    this.#trie = new ByteTrie(raw, isEncodable, MAX_TOKEN_BYTES);
    this.#unkId = spec.unkId;
  }

  encode(text: string, ids: number[]): void {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length; ) {
      const id = this.#trie.longest(bytes, at, bytes.length);
      if (id >= 0) {
        ids.push(id);
        at = this.#trie.end;
      } else {
        if (this.#unkId !== null) ids.push(this.#unkId);
        at++;
      }
    }
  }
}

/** Token texts without their escapes: \t \n \r \xHH, and any other character for itself. */
export function unescapeRwkv(tokens: PackedStrings): PackedStrings {
  const n = packedCount(tokens);
  const bytes = new Uint8Array(tokens.bytes.length);
  const offsets = new Uint32Array(n + 1);
  let to = 0;
  for (let id = 0; id < n; id++) {
    const end = tokens.offsets[id + 1]!;
    for (let i = tokens.offsets[id]!; i < end; i++) {
      let byte = tokens.bytes[i]!;
      if (byte === 0x5c && i + 1 < end) {
        byte = tokens.bytes[++i]!;
        if (byte === 0x74) byte = 9;
        else if (byte === 0x6e) byte = 10;
        else if (byte === 0x72) byte = 13;
        else if (byte === 0x78 && i + 2 < end) {
          byte = (hexDigit(tokens.bytes[i + 1]!) << 4) | hexDigit(tokens.bytes[i + 2]!);
          i += 2;
        }
      }
      bytes[to++] = byte;
    }
    offsets[id + 1] = to;
  }
  return { bytes: bytes.subarray(0, to), offsets };
}

function hexDigit(char: number): number {
  return (char >= 0x61 ? char - 0x61 + 10 : char >= 0x41 ? char - 0x41 + 10 : char - 0x30) & 15;
}
