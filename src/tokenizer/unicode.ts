/**
 * Code points and their classes, memoised: scanners compare bit masks and need no regular expression.
 * Classes are general categories and White_Space of the platform's Unicode version. llama.cpp's tables mean the same
 * (src/unicode-data.cpp, github.com/ggml-org/llama.cpp @00ad355e009e83abf98f96a6ded7193b95763681): its \s is White_Space,
 * which has U+0085 and lacks U+FEFF, unlike JavaScript's.
 */

/** Bits of a class; exactly one is set, white space wins over its category. `any` is for unassigned code points. */
export const CLASS = {
  any: 1,
  letter: 2,
  number: 4,
  mark: 8,
  punctuation: 16,
  symbol: 32,
  space: 64,
  control: 128,
} as const;

const PATTERNS: readonly (readonly [RegExp, number])[] = [
  [/^\p{White_Space}$/u, CLASS.space],
  [/^\p{L}$/u, CLASS.letter],
  [/^\p{N}$/u, CLASS.number],
  [/^\p{M}$/u, CLASS.mark],
  [/^\p{P}$/u, CLASS.punctuation],
  [/^\p{S}$/u, CLASS.symbol],
  [/^\p{Cn}$/u, CLASS.any],
];

/** [0x110000] 0 = not asked for yet; made on first use. */
let memo: Uint8Array | undefined;

/** Class of a code point, one bit of CLASS. */
export function classOf(codePoint: number): number {
  memo ??= new Uint8Array(0x110000);
  const known = memo[codePoint]!;
  if (known !== 0) return known;
  const found = classify(codePoint);
  memo[codePoint] = found;
  return found;
}

function classify(codePoint: number): number {
  const char = String.fromCodePoint(codePoint);
  for (const [pattern, bit] of PATTERNS) if (pattern.test(char)) return bit;
  // What is left: C other than Cn, and separators that are not white space (there are none).
  return CLASS.control;
}

/** Text as code points with their classes; lone surrogates are U+FFFD. */
export interface CodePoints {
  readonly length: number;
  /** [length] or longer. */
  readonly points: Int32Array;
  /** [length] or longer. */
  readonly classes: Uint8Array;
}

/** Text as code points. */
export function codePointsOf(text: string): CodePoints {
  const points = new Int32Array(text.length);
  const classes = new Uint8Array(text.length);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    let point = text.charCodeAt(i);
    if (point >= 0xd800 && point < 0xe000) {
      const low = text.charCodeAt(i + 1);
      if (point < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        i++;
      } else {
        point = 0xfffd;
      }
    }
    points[length] = point;
    classes[length++] = classOf(point);
  }
  return { length, points, classes };
}

/** Writes points[start, end) as UTF-8 into `out` at `at`; gives the end. `out` needs 4 bytes a code point. */
export function writeUtf8(points: Int32Array, start: number, end: number, out: Uint8Array, at: number): number {
  let to = at;
  for (let i = start; i < end; i++) {
    const point = points[i]!;
    if (point < 0x80) {
      out[to++] = point;
    } else if (point < 0x800) {
      out[to++] = 0xc0 | (point >> 6);
      out[to++] = 0x80 | (point & 63);
    } else if (point < 0x10000) {
      out[to++] = 0xe0 | (point >> 12);
      out[to++] = 0x80 | ((point >> 6) & 63);
      out[to++] = 0x80 | (point & 63);
    } else {
      out[to++] = 0xf0 | (point >> 18);
      out[to++] = 0x80 | ((point >> 12) & 63);
      out[to++] = 0x80 | ((point >> 6) & 63);
      out[to++] = 0x80 | (point & 63);
    }
  }
  return to;
}

/** Bytes of a UTF-8 character by its first byte, as ggml counts them; a stray continuation byte stands alone. */
export function utf8Length(first: number): number {
  if (first < 0xc0) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}
