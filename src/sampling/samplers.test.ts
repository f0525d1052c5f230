import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as elementary from "../numerics/elementary.ts";
import { type Candidates, createCandidates, fillCandidates, selectTop } from "./candidates.ts";
import { draw } from "./draw.ts";
import { minP } from "./min-p.ts";
import { applyRepetitionPenalty } from "./repetition-penalty.ts";
import { scaleByTemperature } from "./temperature.ts";
import { topK } from "./top-k.ts";
import { topP } from "./top-p.ts";

interface Entry {
  readonly id: number;
  readonly logit: number;
}

function candidatesOf(logits: Float32Array): Candidates {
  const candidates = createCandidates(logits.length);
  fillCandidates(candidates, logits);
  return candidates;
}

/** −0 and 0 are one logit. */
function entries({ ids, logits, n }: Candidates): Entry[] {
  return Array.from({ length: n }, (_, i) => ({ id: ids[i]!, logit: logits[i]! + 0 }));
}

function byLogit(list: readonly Entry[]): Entry[] {
  return [...list].sort((a, b) => b.logit - a.logit || a.id - b.id);
}

/** A few values many times, so that ties are common, and a masked token now and then; never all masked. */
const logitsArbitrary = fc
  .array(fc.oneof(fc.float({ min: -30, max: 30, noNaN: true }), fc.constantFrom(0, -0, 1, 1, -2, Number.NEGATIVE_INFINITY)), {
    minLength: 1,
    maxLength: 300,
  })
  .map((values) => Float32Array.from([...values, 0.5]));
const runs = { numRuns: 500, seed: 1 };

describe("selectTop and top-k", () => {
  it("keep what a stable full sort keeps, in its order", () => {
    fc.assert(
      fc.property(logitsArbitrary, fc.nat(310), (logits, k) => {
        const all = Array.from(logits, (logit, id) => ({ id, logit: logit + 0 }));
        const candidates = candidatesOf(logits);
        topK(candidates, k);
        expect(entries(candidates)).toEqual(
          k === 0 || k >= logits.length ? entries(candidatesOf(logits)) : byLogit(all).slice(0, k),
        );
      }),
      runs,
    );
  });

  it("permute: nothing is lost behind the k best", () => {
    fc.assert(
      fc.property(logitsArbitrary, fc.nat(300), (logits, k) => {
        const candidates = candidatesOf(logits);
        selectTop(candidates, Math.min(k, logits.length));
        const all = Array.from(logits, (logit, id) => ({ id, logit: logit + 0 }));
        expect(entries(candidates).sort((a, b) => a.id - b.id)).toEqual(all);
      }),
      runs,
    );
  });

  it("take sorted, reversed and equal logits of a large vocabulary", () => {
    const nVocab = 128_256;
    for (const value of [
      (i: number) => i,
      (i: number) => 1 - i,
      () => 3,
      (i: number) => i % 3,
      (i: number) => Math.abs(i - 64_000),
    ]) {
      const logits = Float32Array.from({ length: nVocab }, (_, i) => value(i));
      const candidates = candidatesOf(logits);
      topK(candidates, 5);
      expect(entries(candidates)).toEqual(byLogit(Array.from(logits, (logit, id) => ({ id, logit }))).slice(0, 5));
    }
  });
});

describe("top-p", () => {
  it("keeps the shortest sorted run that reaches p, from sorted and unsorted candidates", () => {
    fc.assert(
      fc.property(logitsArbitrary, fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean(), (logits, p, isSorted) => {
        const candidates = candidatesOf(logits);
        if (isSorted) topK(candidates, Math.max(1, logits.length - 1));
        const before = entries(candidates);
        const sorted = byLogit(before);
        const weight = (entry: Entry) => elementary.exp(entry.logit - sorted[0]!.logit);
        const total = before.reduce((sum, entry) => sum + weight(entry), 0);
        let sum = 0;
        const last = sorted.findIndex((entry) => {
          sum += weight(entry);
          return sum >= p * total;
        });
        topP(candidates, p);
        if (p < 1) expect(entries(candidates)).toEqual(last < 0 ? sorted : sorted.slice(0, last + 1));
        else expect(entries(candidates)).toEqual(before);
      }),
      runs,
    );
  });

  it("looks as far as a flat distribution needs", () => {
    const candidates = candidatesOf(new Float32Array(5000));
    topP(candidates, 0.5);
    expect(entries(candidates).map(({ id }) => id)).toEqual(Array.from({ length: 2500 }, (_, id) => id));
  });

  it("keeps one at p = 0", () => {
    const candidates = candidatesOf(Float32Array.of(1, 3, 3));
    topP(candidates, 0);
    expect(entries(candidates)).toEqual([{ id: 1, logit: 3 }]);
  });
});

describe("min-p", () => {
  it("keeps what has p times the best probability, in order", () => {
    fc.assert(
      fc.property(logitsArbitrary, fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean(), (logits, p, isSorted) => {
        const candidates = candidatesOf(logits);
        if (isSorted) topK(candidates, Math.max(1, logits.length - 1));
        const before = entries(candidates);
        const max = Math.max(...before.map(({ logit }) => logit));
        minP(candidates, p);
        expect(entries(candidates)).toEqual(before.filter(({ logit }) => p === 0 || logit >= max + elementary.log(p)));
      }),
      runs,
    );
  });

  it("at p = 1 keeps only the best and its equals", () => {
    const candidates = candidatesOf(Float32Array.of(1, 3, 2, 3));
    minP(candidates, 1);
    expect(entries(candidates).map(({ id }) => id)).toEqual([1, 3]);
  });
});

describe("repetition penalty", () => {
  it("divides positive and multiplies other logits, once per distinct token of the last n", () => {
    const logits = Float32Array.of(0.5, -2, 4, 0, Number.NEGATIVE_INFINITY, 8);
    applyRepetitionPenalty(logits, [5, 0, 1, 0, 3, 4, 99, -1], 2, 7);
    expect([...logits]).toEqual([0.25, -4, 4, 0, Number.NEGATIVE_INFINITY, 8]);
  });

  it.each([
    [0, [2, 2]],
    [1, [2, 1]],
    [2, [1, 1]],
    [-1, [1, 1]],
    [50, [1, 1]],
  ])("looks at the last %s", (lastN, want) => {
    const logits = Float32Array.of(2, 2);
    applyRepetitionPenalty(logits, Int32Array.of(0, 1), 2, lastN);
    expect([...logits]).toEqual(want);
  });

  it("keeps finite logits finite", () => {
    const logits = Float32Array.of(3e38, -3e38);
    applyRepetitionPenalty(logits, [0], 0.001, -1);
    applyRepetitionPenalty(logits, [1], 1000, -1);
    expect(logits.every(Number.isFinite)).toBe(true);
  });
});

describe("temperature", () => {
  it("scales distances to the best", () => {
    const candidates = candidatesOf(Float32Array.of(1, 3, Number.NEGATIVE_INFINITY));
    scaleByTemperature(candidates, 0.5);
    expect(entries(candidates).map(({ logit }) => logit)).toEqual([-4, 0, Number.NEGATIVE_INFINITY]);
  });

  it.each([5e-324, 1e308])("gives no NaN at %s", (temperature) => {
    const candidates = candidatesOf(Float32Array.of(-3e38, 3e38, 3e38));
    scaleByTemperature(candidates, temperature);
    expect(entries(candidates).some(({ logit }) => Number.isNaN(logit))).toBe(false);
  });
});

describe("draw", () => {
  it("takes the candidate at the random number's place in the sum", () => {
    const candidates = candidatesOf(Float32Array.of(0, 0, Number.NEGATIVE_INFINITY, 0, 0));
    expect([0, 0.24, 0.25, 0.5, 0.74, 0.75, 0.9999].map((random) => draw(candidates, random))).toEqual([0, 0, 1, 3, 3, 4, 4]);
  });

  it("never takes a token without weight", () => {
    const masked = Number.NEGATIVE_INFINITY;
    const candidates = candidatesOf(Float32Array.of(masked, -1000, 0, masked, -1000, masked));
    for (const random of [0, 0.5, 1 - 2 ** -53]) expect(draw(candidates, random)).toBe(2);
  });
});
