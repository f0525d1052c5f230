import { describe, expect, it } from "vitest";
import { ConfigError } from "../errors.ts";
import { createRng, type RngState, rngFromState } from "./rng.ts";

describe("rng", () => {
  it("is xoshiro128**", () => {
    // The first outputs from state (1, 2, 3, 4), by the authors' C code: 11520, 0, 5927040, 70819200, 2031721883, 1637235492.
    const rng = rngFromState([1, 2, 3, 4]);
    const float = (high: number, low: number) => ((high >>> 5) * 2 ** 26 + (low >>> 6)) * 2 ** -53;
    expect([rng.nextFloat(), rng.nextFloat(), rng.nextFloat()]).toEqual([
      float(11520, 0),
      float(5927040, 70819200),
      float(2031721883, 1637235492),
    ]);
  });

  it("continues from its state, through JSON", () => {
    const rng = createRng(7);
    for (let i = 0; i < 10; i++) rng.nextFloat();
    const copy = rngFromState(JSON.parse(JSON.stringify(rng.state())) as RngState);
    for (let i = 0; i < 10; i++) expect(copy.nextFloat()).toBe(rng.nextFloat());
  });

  it("gives different streams for different seeds, beyond 32 bits too", () => {
    const seeds = [0, 1, 2, 2 ** 21, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 52, Number.MAX_SAFE_INTEGER];
    const firsts = seeds.map((seed) => createRng(seed).nextFloat());
    expect(new Set(firsts).size).toBe(seeds.length);
    expect(new Set(Array.from({ length: 10_000 }, (_, seed) => createRng(seed).state().join())).size).toBe(10_000);
  });

  it("is uniform on [0, 1)", () => {
    const nBins = 64;
    const nDraws = 64_000;
    for (const seed of [0, 1, 123_456_789_012]) {
      const rng = createRng(seed);
      const counts = new Array<number>(nBins).fill(0);
      for (let i = 0; i < nDraws; i++) {
        const x = rng.nextFloat();
        expect(x >= 0 && x < 1).toBe(true);
        counts[Math.floor(x * nBins)]! += 1;
      }
      const expected = nDraws / nBins;
      const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      expect(chiSquare).toBeLessThan(103.4); // 63 degrees of freedom, p = 0.001
    }
  });

  it.each([-1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])("refuses seed %s", (seed) => {
    expect(() => createRng(seed)).toThrow(ConfigError);
  });
  it("refuses a seed that is text", () => {
    expect(() => createRng("1" as unknown as number)).toThrow("seed is '1'; must be an integer from 0 to 2^53 − 1");
  });

  it.each([[[0, 0, 0, 0]], [[1, 2, 3]], [[1, 2, 3, -1]], [[1, 2, 3, 0.5]], [undefined]])("refuses state %s", (state) => {
    expect(() => rngFromState(state as unknown as RngState)).toThrow(ConfigError);
  });
});
