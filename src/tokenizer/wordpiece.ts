/**
 * WordPiece (`tokenizer.ggml.model` = "bert"): normalise, cut into words, then the longest token first; a word that does not
 * come out whole is `unk`. In converted files a word begins with "▁" and its continuations with nothing.
 * Source: src/llama-vocab.cpp, `llm_tokenizer_wpm_session`, github.com/ggml-org/llama.cpp
 * @00ad355e009e83abf98f96a6ded7193b95763681. As there, and unlike Hugging Face: long words are not refused, and of a canonical
 * decomposition only the first code point is kept (the same but for Hangul).
 */
import type { TextEncoderModel } from "./bpe.ts";
import { ByteTrie } from "./byte-trie.ts";
import type { TokenizerSpec } from "./spec.ts";
import { CLASS, classOf, codePointsOf, writeUtf8 } from "./unicode.ts";

/** Longer tokens decode but never come from text: it bounds the work per character. Real ones have under 100 bytes. */
const MAX_TOKEN_BYTES = 256;

const MARK = new TextEncoder().encode("\u2581");

export class WordPiece implements TextEncoderModel {
  readonly #trie: ByteTrie;
  readonly #unkId: number | null;
  readonly #lowercase: boolean;
  readonly #stripAccents: boolean;
  #bytes = new Uint8Array(256);

  constructor(spec: TokenizerSpec, isEncodable: (id: number) => boolean) {
    this.#trie = new ByteTrie(spec.tokens, isEncodable, MAX_TOKEN_BYTES);
    this.#unkId = spec.unkId;
    this.#lowercase = spec.lowercase;
    this.#stripAccents = spec.stripAccents;
  }

  encode(text: string, ids: number[]): void {
    const { points, classes, length } = codePointsOf(text);
    // Normalised code points, written over the source: there are never more of them.
    let n = 0;
    for (let i = 0; i < length; i++) {
      const source = points[i]!;
      if (classes[i] === CLASS.space) {
        this.#encodeWord(points, n, ids);
        n = 0;
        continue;
      }
      const point = this.#stripAccents ? baseOf(source) : source;
      const kind = point === source ? classes[i]! : classOf(point);
      if (point === 0 || point === 0xfffd || kind === CLASS.control) continue;
      if (kind === CLASS.mark && this.#stripAccents) continue;
      const cased = this.#lowercase ? lowerOf(point) : point;
      if (!isAlone(point, kind)) {
        points[n++] = cased;
        continue;
      }
      this.#encodeWord(points, n, ids);
      points[0] = cased;
      this.#encodeWord(points, 1, ids);
      n = 0;
    }
    this.#encodeWord(points, n, ids);
    if (this.#bytes.length > 65536) this.#bytes = new Uint8Array(256);
  }

  /** The word points[0, n). */
  #encodeWord(points: Int32Array, n: number, ids: number[]): void {
    if (n === 0) return;
    const room = n * 4 + MARK.length;
    if (this.#bytes.length < room) this.#bytes = new Uint8Array(room * 2);
    const bytes = this.#bytes;
    bytes.set(MARK);
    const end = writeUtf8(points, 0, n, bytes, MARK.length);
    const nIds = ids.length;
    for (let at = 0; at < end; at = this.#trie.end) {
      const id = this.#trie.longest(bytes, at, end);
      if (id < 0) {
        ids.length = nIds;
        if (this.#unkId !== null) ids.push(this.#unkId);
        return;
      }
      ids.push(id);
    }
  }
}

/** Punctuation, ASCII symbols and CJK ideographs are words of their own. */
function isAlone(point: number, kind: number): boolean {
  return kind === CLASS.punctuation || (point < 0x7f && kind === CLASS.symbol) || isIdeograph(point);
}

/** BERT's ranges; 0x2b920 instead of 0x2b820 is in Hugging Face's code, and so in llama.cpp's. */
function isIdeograph(point: number): boolean {
  return (
    (point >= 0x4e00 && point <= 0x9fff) ||
    (point >= 0x3400 && point <= 0x4dbf) ||
    (point >= 0x20000 && point <= 0x2a6df) ||
    (point >= 0x2a700 && point <= 0x2b73f) ||
    (point >= 0x2b740 && point <= 0x2b81f) ||
    (point >= 0x2b920 && point <= 0x2ceaf) ||
    (point >= 0xf900 && point <= 0xfaff) ||
    (point >= 0x2f800 && point <= 0x2fa1f)
  );
}

const bases = new Map<number, number>();

/** First code point of the canonical decomposition. */
function baseOf(point: number): number {
  if (point < 0xc0) return point;
  let base = bases.get(point);
  if (base === undefined) {
    base = String.fromCodePoint(point).normalize("NFD").codePointAt(0)!;
    bases.set(point, base);
  }
  return base;
}

const lowers = new Map<number, number>();

/** First code point of the lower-case form. */
function lowerOf(point: number): number {
  if (point < 0x80) return point >= 65 && point <= 90 ? point + 32 : point;
  let lower = lowers.get(point);
  if (lower === undefined) {
    lower = String.fromCodePoint(point).toLowerCase().codePointAt(0)!;
    lowers.set(point, lower);
  }
  return lower;
}
