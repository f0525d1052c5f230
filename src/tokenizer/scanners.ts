/**
 * Hand-written scanners for the regular expressions that cut text into words before BPE. Each comment is the expression
 * that its scanner equals. No backtracking: every scanner is linear on any text, which regular expressions are not.
 * \s is White_Space. Source of the expressions and of what happens to text that none matches (it is a word of its own):
 * src/llama-vocab.cpp, `llm_tokenizer_bpe`, and src/unicode.cpp, `unicode_regex_split`, github.com/ggml-org/llama.cpp
 * @00ad355e009e83abf98f96a6ded7193b95763681.
 */
import { CLASS, type CodePoints } from "./unicode.ts";

/** Cuts points[start, end) into words and appends the end of each to `ends`. */
export type Scanner = (text: CodePoints, start: number, end: number, ends: number[]) => void;

const { letter: L, number: N, mark: M, punctuation: P, symbol: S, space: WS } = CLASS;
const SPACE = 0x20;
const APOSTROPHE = 0x27;

/** True for \r and \n. */
function isNewline(point: number): boolean {
  return point === 10 || point === 13;
}

/** Code point as a lower-case ASCII letter, where it is one. */
function lower(point: number): number {
  return point >= 65 && point <= 90 ? point + 32 : point;
}

/** Length of 's 't 're 've 'm 'll 'd at `at`, or 0. `fold`: either case. */
function contractionLength(points: Int32Array, at: number, end: number, fold: boolean): number {
  if (points[at] !== APOSTROPHE || at + 1 >= end) return 0;
  const first = fold ? lower(points[at + 1]!) : points[at + 1]!;
  if (first === 0x73 || first === 0x74 || first === 0x6d || first === 0x64) return 2;
  if (at + 2 >= end) return 0;
  const second = fold ? lower(points[at + 2]!) : points[at + 2]!;
  if ((first === 0x72 || first === 0x76) && second === 0x65) return 3;
  return first === 0x6c && second === 0x6c ? 3 : 0;
}

/** First position at or after `at` whose class is not in `mask`. */
function skip(classes: Uint8Array, at: number, end: number, mask: number): number {
  let i = at;
  while (i < end && (classes[i]! & mask) !== 0) i++;
  return i;
}

/** `\s*[\r\n]+|\s+(?!\S)|\s+` at a white space (`newlines` false: without its first part); the end of the match. */
function whiteSpace(text: CodePoints, at: number, end: number, newlines: boolean): number {
  const stop = skip(text.classes, at, end, WS);
  if (newlines) for (let i = stop; i > at; i--) if (isNewline(text.points[i - 1]!)) return i;
  return stop - at > 1 && stop < end ? stop - 1 : stop;
}

/** `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` */
export const scanGpt2: Scanner = (text, start, end, ends) => {
  const { points, classes } = text;
  for (let at = start; at < end; ) {
    const contraction = contractionLength(points, at, end, false);
    if (contraction > 0) {
      at += contraction;
      ends.push(at);
      continue;
    }
    const from = points[at] === SPACE ? at + 1 : at;
    const kind = from < end ? classes[from]! : WS;
    if (kind === WS) at = whiteSpace(text, at, end, false);
    else if (kind === L || kind === N) at = skip(classes, from, end, kind);
    else at = skip(classes, from, end, ~(WS | L | N));
    ends.push(at);
  }
};

/** What the expressions of the Llama 3 kind differ in. */
interface Llama3Options {
  /** Longest word of digits. */
  readonly maxDigits: number;
  /** Classes of a word's characters. */
  readonly word?: number;
  readonly contractions?: boolean;
  /** Punctuation takes the line ends behind it; otherwise it stops there. */
  readonly newlineTail?: boolean;
}

/**
 * `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?WORD+|\p{N}{1,DIGITS}| ?[^\s WORD \p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
 * with WORD = \p{L}, or [\p{L}\p{M}].
 */
export function scanLlama3(options: Llama3Options): Scanner {
  const { maxDigits, word = L, contractions = true, newlineTail = true } = options;
  const other = ~(WS | word | N);
  return (text, start, end, ends) => {
    const { points, classes } = text;
    for (let at = start; at < end; ) {
      const contraction = contractions ? contractionLength(points, at, end, true) : 0;
      if (contraction > 0) {
        at += contraction;
        ends.push(at);
        continue;
      }
      const point = points[at]!;
      const kind = classes[at]!;
      const following = at + 1 < end ? classes[at + 1]! : 0;
      if ((kind & word) !== 0 || (kind !== N && (following & word) !== 0 && !isNewline(point))) {
        at = skip(classes, at + 1, end, word);
      } else if (kind === N) {
        at = skip(classes, at, Math.min(end, at + maxDigits), N);
      } else if ((kind & other) !== 0 || (point === SPACE && (following & other) !== 0)) {
        at = skip(classes, at + 1, end, other);
        if (newlineTail) while (at < end && isNewline(points[at]!)) at++;
      } else {
        at = whiteSpace(text, at, end, true);
      }
      ends.push(at);
    }
  };
}

/**
 * `[^\r\n\p{L}\p{N}]?U*W+TAIL?|[^\r\n\p{L}\p{N}]?U+W*TAIL?|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
 * with U = letters but a-z, W = letters but A-Z (llama.cpp's approximation of cases), TAIL = a contraction or nothing.
 */
export function scanCased(options: { readonly maxDigits: number; readonly contractions: boolean }): Scanner {
  const { maxDigits, contractions } = options;
  const other = ~(WS | L | N);
  return (text, start, end, ends) => {
    const { points, classes } = text;
    for (let at = start; at < end; ) {
      const point = points[at]!;
      const kind = classes[at]!;
      const following = at + 1 < end ? classes[at + 1]! : 0;
      if (kind === L || (kind !== N && following === L && !isNewline(point))) {
        at = casedWord(text, kind === L ? at : at + 1, end);
        if (contractions) at += contractionLength(points, at, end, true);
      } else if (kind === N) {
        at = skip(classes, at, Math.min(end, at + maxDigits), N);
      } else if ((kind & other) !== 0 || (point === SPACE && (following & other) !== 0)) {
        at = skip(classes, at + 1, end, other);
        while (at < end && (isNewline(points[at]!) || points[at] === 0x2f)) at++;
      } else {
        at = whiteSpace(text, at, end, true);
      }
      ends.push(at);
    }
  };
}

/** End of `U*W+|U+W*` at a letter. */
function casedWord(text: CodePoints, at: number, end: number): number {
  const { points, classes } = text;
  const isSmall = (i: number): boolean => points[i]! >= 97 && points[i]! <= 122;
  const isCapital = (i: number): boolean => points[i]! >= 65 && points[i]! <= 90;
  let upper = at;
  while (upper < end && classes[upper] === L && !isSmall(upper)) upper++;
  let stop = upper;
  while (stop < end && classes[stop] === L && !isCapital(stop)) stop++;
  if (stop > upper) return stop;
  // U* took every letter: it gives back up to the last one that W takes too.
  for (let i = upper; i > at; i--) if (!isCapital(i - 1)) return i;
  return upper;
}

/**
 * ``[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+``
 */
export const scanDeepseek3: Scanner = (text, start, end, ends) => {
  const { points, classes } = text;
  const isLatin = (i: number): boolean => i < end && lower(points[i]!) >= 97 && lower(points[i]!) <= 122;
  for (let at = start; at < end; ) {
    const point = points[at]!;
    const kind = classes[at]!;
    const following = at + 1 < end ? classes[at + 1]! : 0;
    if (point < 0x80 && (kind & (P | S)) !== 0 && isLatin(at + 1)) {
      at++;
      while (isLatin(at)) at++;
    } else if ((kind & (L | M)) !== 0 || ((kind & (P | S)) === 0 && !isNewline(point) && (following & (L | M)) !== 0)) {
      at = skip(classes, at + 1, end, L | M);
    } else if ((kind & (P | S)) !== 0 || (point === SPACE && (following & (P | S)) !== 0)) {
      at = skip(classes, at + 1, end, P | S);
      while (at < end && isNewline(points[at]!)) at++;
    } else if (kind === WS) {
      at = whiteSpace(text, at, end, true);
    } else {
      at = unmatched(text, at, end);
    }
    ends.push(at);
  }
};

/** End of a stretch that `scanDeepseek3` does not match: numbers, controls and unassigned characters. */
function unmatched(text: CodePoints, at: number, end: number): number {
  let i = at + 1;
  while (i < end && (text.classes[i]! & (L | M | P | S | WS)) === 0) i++;
  // The last one goes before a letter or mark as its optional first character.
  return i < end && i - 1 > at && (text.classes[i]! & (L | M)) !== 0 ? i - 1 : i;
}

/** `X{1,max}` where `test` tells X, with a leading white space or space if asked for; the rest between matches stays whole. */
export function scanRuns(
  test: (point: number, kind: number) => boolean,
  options: { readonly max?: number; readonly min?: number; readonly lead?: "space" | "white-space" } = {},
): Scanner {
  const { max = Number.POSITIVE_INFINITY, min = 1, lead } = options;
  return (text, start, end, ends) => {
    const { points, classes } = text;
    const fits = (i: number): boolean => i < end && test(points[i]!, classes[i]!);
    let open = start;
    for (let at = start; at < end; ) {
      const isLead = lead === "space" ? points[at] === SPACE : lead === "white-space" && classes[at] === WS;
      const from = isLead && fits(at + 1) ? at + 1 : at;
      let stop = from;
      while (stop - from < max && fits(stop)) stop++;
      if (stop - from < min) {
        at = Math.max(at + 1, stop);
        continue;
      }
      if (at > open) ends.push(at);
      ends.push(stop);
      at = stop;
      open = stop;
    }
    if (end > open) ends.push(end);
  };
}
