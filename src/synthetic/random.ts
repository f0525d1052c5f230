/**
 * Seeded numbers for synthetic models and test inputs. Only exact arithmetic, so that a seed gives the same file everywhere.
 * Source: splitmix32's finaliser over a counter (the mixing constants of "lowbias32", C. Wellons, hash-prospector).
 */

export interface SeededRandom {
  /** 32 random bits. */
  u32(): number;
  /** In [0, 1). */
  uniform(): number;
  /** Mean 0, standard deviation 1: the sum of four uniforms, scaled; never beyond ±3.47. */
  normal(): number;
  /** Whole number in [0, n). */
  below(n: number): number;
  /** [n] normals times `std`, as f32. */
  normals(n: number, std?: number): Float32Array;
}

function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

export function seededRandom(seed: number): SeededRandom {
  // mixed, so that neighbouring seeds do not walk the same numbers
  let state = mix(seed + 1);
  const u32 = () => {
    state = (state + 0x9e3779b9) | 0;
    return mix(state);
  };
  const uniform = () => u32() * 2 ** -32;
  // the variance of a uniform number is 1/12, that of four of them 1/3
  const normal = () => (uniform() + uniform() + uniform() + uniform() - 2) * 1.7320508075688772;
  return {
    u32,
    uniform,
    normal,
    below: (n) => Math.floor(uniform() * n),
    normals: (n, std = 1) => Float32Array.from({ length: n }, () => normal() * std),
  };
}
