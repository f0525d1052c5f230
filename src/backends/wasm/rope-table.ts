/**
 * Cosines and sines of the positions of a step, [nTokens][cos nPairs, sin nPairs] in f32. Made from exact arithmetic, so that every
 * JavaScript engine has the same bits; Math.cos does not promise that.
 */
import type { Rotary } from "../../graph/ops.ts";
import { cos, sin } from "../../numerics/elementary.ts";

/** Equal keys have equal tables. */
export function rotaryKey(rotary: Rotary): string {
  return rotary.frequencies.join(",");
}

export class RopeTable {
  readonly #frequencies: Float64Array;
  /** Positions that were computed before: consecutive prompts and forks ask again. */
  readonly #rows = new Map<number, Float32Array>();

  constructor(rotary: Rotary) {
    this.#frequencies = rotary.frequencies;
  }

  get rowLength(): number {
    return 2 * this.#frequencies.length;
  }

  row(position: number): Float32Array {
    let row = this.#rows.get(position);
    if (row === undefined) {
      const nPairs = this.#frequencies.length;
      row = new Float32Array(2 * nPairs);
      for (let i = 0; i < nPairs; i++) {
        row[i] = cos(position * this.#frequencies[i]!);
        row[i + nPairs] = sin(position * this.#frequencies[i]!);
      }
      if (this.#rows.size >= MAX_CACHED_ROWS) this.#rows.clear();
      this.#rows.set(position, row);
    }
    return row;
  }
}

/** 4,096 rows of 128 values are 2 MiB. */
const MAX_CACHED_ROWS = 4096;
