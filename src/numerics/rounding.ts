/**
 * Rounding to the nearest integer, ties to even: what `f32.nearest` and `f64.nearest` do in WebAssembly and `nearbyint` in C.
 * `Math.round` rounds ties up and is therefore not used on numbers that a kernel must reproduce.
 */

/** 1.5 × 2^52: added to |x| < 2^51 the sum has an ulp of exactly 1, so that the addition itself rounds half to even. */
const SHIFT = 6755399441055744;

/** The integer nearest to `x`, ties to even; |x| < 2^51. The sign of a zero result is always plus. */
export function roundHalfEven(x: number): number {
  return x + SHIFT - SHIFT;
}
