/**
 * Seeded random numbers that are the same in every engine: xoshiro128** (D. Blackman, S. Vigna, "Scrambled linear pseudorandom
 * number generators", ACM TOMS 47, 2021), 32-bit integer arithmetic only. Not for cryptography.
 */
import { ConfigError } from "../errors.ts";

/** Four 32-bit words, not all zero; plain data that survives JSON. */
export type RngState = readonly [number, number, number, number];

/** A stream of random numbers. */
export interface Rng {
  /** A multiple of 2^-53 in [0, 1). */
  nextFloat(): number;
  /** A copy of the state: `rngFromState` of it continues the stream. */
  state(): RngState;
}

/**
 * The stream of `seed`, an integer in 0 … 2^53 − 1.
 * @throws ConfigError `invalid-option`
 */
export function createRng(seed: number): Rng {
  checkSeed(seed);
  const lo = seed | 0;
  const hi = Math.floor(seed / 2 ** 32);
  const word = (i: number) => mix((lo + Math.imul(i + 1, 0x9e3779b9)) ^ mix(hi + Math.imul(i + 1, 0x85ebca6b)));
  return new Xoshiro128(word(0), word(1), word(2), word(3));
}

/**
 * The stream that stood at `state`.
 * @throws ConfigError `invalid-option`
 */
export function rngFromState(state: RngState): Rng {
  const isState = Array.isArray(state) && state.length === 4 && state.every((word) => word >>> 0 === word);
  if (!isState || state.every((word) => word === 0)) {
    throw new ConfigError("invalid-option", "sampling: the generator's state must be four unsigned 32-bit words, not all zero", {
      hint: "Pass what state() returned.",
    });
  }
  return new Xoshiro128(state[0], state[1], state[2], state[3]);
}

/** @throws ConfigError `invalid-option` unless `seed` is an integer in 0 … 2^53 − 1. */
export function checkSeed(seed: unknown): asserts seed is number {
  if (Number.isSafeInteger(seed) && (seed as number) >= 0) return;
  const got = typeof seed === "string" ? `'${seed}'` : String(seed);
  const allowed = "an integer from 0 to 2^53 − 1";
  throw new ConfigError("invalid-option", `sampling: seed is ${got}; must be ${allowed}`, {
    data: { option: "seed", got, allowed },
    hint: "Leave seed out to have one drawn; the sampler tells which.",
  });
}

/** A bijection of 32-bit words with good avalanche. Source: the finaliser of MurmurHash3 (public domain). */
function mix(x: number): number {
  let h = x ^ (x >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

class Xoshiro128 implements Rng {
  #s0: number;
  #s1: number;
  #s2: number;
  #s3: number;

  constructor(s0: number, s1: number, s2: number, s3: number) {
    this.#s0 = s0;
    this.#s1 = s1;
    this.#s2 = s2;
    this.#s3 = s3;
    if ((s0 | s1 | s2 | s3) === 0) this.#s0 = 1;
  }

  nextFloat(): number {
    const high = this.#next() >>> 5; // 27 bits
    const low = this.#next() >>> 6; // 26 bits
    return (high * 2 ** 26 + low) * 2 ** -53;
  }

  state(): RngState {
    return [this.#s0 >>> 0, this.#s1 >>> 0, this.#s2 >>> 0, this.#s3 >>> 0];
  }

  #next(): number {
    const result = Math.imul(rotateLeft(Math.imul(this.#s1, 5), 7), 9);
    const shifted = this.#s1 << 9;
    this.#s2 ^= this.#s0;
    this.#s3 ^= this.#s1;
    this.#s1 ^= this.#s2;
    this.#s0 ^= this.#s3;
    this.#s2 ^= shifted;
    this.#s3 = rotateLeft(this.#s3, 11);
    return result;
  }
}

function rotateLeft(x: number, n: number): number {
  return (x << n) | (x >>> (32 - n));
}
