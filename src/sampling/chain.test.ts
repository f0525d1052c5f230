import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BackendError, ConfigError } from "../errors.ts";
import { createSampler, type SamplerState } from "./chain.ts";
import type { SamplingOptions } from "./options.ts";
import { createRng } from "./rng.ts";

const NEVER = Number.NEGATIVE_INFINITY;

/** Logits with integer arithmetic, the same in every engine. */
function pseudoLogits(nVocab: number, seed: number): Float32Array {
  const rng = createRng(seed);
  return Float32Array.from({ length: nVocab }, () => (rng.nextFloat() + rng.nextFloat() + rng.nextFloat() - 1.5) * 8);
}

function drawMany(options: SamplingOptions, logits: Float32Array, nTokens: number): number[] {
  const sampler = createSampler(options);
  const history: number[] = [];
  for (let i = 0; i < nTokens; i++) history.push(sampler.sample(logits, history));
  return history;
}

describe("temperature 0", () => {
  it("is the argmax of the raw logits, the lowest id on ties", () => {
    const sampler = createSampler({ temperature: 0, topK: 3, topP: 0.5, minP: 0.9 });
    expect(sampler.sample(Float32Array.of(1, 5, 5, 2), [1, 1])).toBe(1);
    expect(sampler.sample(Float32Array.of(NEVER, -5, NEVER), [])).toBe(1);
    expect(sampler.sample(Float32Array.of(-0, 0), [])).toBe(0);
  });

  it("penalises where a penalty is given", () => {
    const logits = Float32Array.of(1, 5, 4.9);
    expect(createSampler({ temperature: 0, repeatPenalty: 1.1 }).sample(logits, [1])).toBe(2);
    expect(createSampler({ temperature: 0, repeatPenalty: 1.1, repeatLastN: 1 }).sample(logits, [1, 0])).toBe(1);
    expect([...logits]).toEqual([1, 5, Math.fround(4.9)]);
  });
});

describe("distribution", () => {
  const logits = Float32Array.of(1, 2, 0.5, -1, NEVER, 1.5, 0, 2.5);

  /** Pearson's statistic of `nDraws` draws against probabilities p. */
  function chiSquare(options: SamplingOptions, p: readonly number[]): number {
    const nDraws = 20_000;
    const sampler = createSampler(options);
    const counts = new Array<number>(p.length).fill(0);
    for (let i = 0; i < nDraws; i++) counts[sampler.sample(logits, [])]! += 1;
    return p.reduce((sum, pi, id) => {
      if (pi === 0) expect(counts[id]).toBe(0);
      return pi === 0 ? sum : sum + (counts[id]! - nDraws * pi) ** 2 / (nDraws * pi);
    }, 0);
  }

  function softmax(temperature: number, keep: readonly number[]): number[] {
    const weights = Array.from(logits, (logit, id) => (keep.includes(id) ? Math.exp(logit / temperature) : 0));
    const total = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / total);
  }

  const all = [0, 1, 2, 3, 5, 6, 7];
  // 6 degrees of freedom at most; p = 0.0001 at 27.9.
  it.each<[SamplingOptions, number[]]>([
    [{ temperature: 1 }, softmax(1, all)],
    [{ temperature: 0.5 }, softmax(0.5, all)],
    [{ temperature: 3 }, softmax(3, all)],
    [{}, softmax(0.8, all)],
    [{ temperature: 1, topK: 3 }, softmax(1, [7, 1, 5])],
    [{ temperature: 2, topP: 0.5 }, softmax(2, [7, 1])],
    [{ temperature: 2, minP: 0.2 }, softmax(2, [7, 1, 5, 0])],
    [{ temperature: 1, topK: 4, topP: 0.9, minP: 0.4 }, softmax(1, [7, 1])],
  ])("of %o", (options, p) => {
    for (const seed of [1, 2, 3]) expect(chiSquare({ ...options, seed }, p)).toBeLessThan(27.9);
  });
});

describe("reproducibility", () => {
  const logits = pseudoLogits(2048, 5);

  it("the same seed gives the same tokens, another seed others", () => {
    const options = { temperature: 0.9, topK: 200, topP: 0.95, minP: 0.01, repeatPenalty: 1.1, seed: 42 };
    const tokens = drawMany(options, logits, 50);
    expect(drawMany(options, logits, 50)).toEqual(tokens);
    expect(drawMany({ ...options, seed: 43 }, logits, 50)).not.toEqual(tokens);
    // Pinned: every engine must print these.
    expect(tokens.slice(0, 12)).toMatchInlineSnapshot(`
      [
        1240,
        522,
        1432,
        522,
        850,
        1770,
        281,
        1224,
        1511,
        1759,
        1896,
        474,
      ]
    `);
  });

  it("uses one random number per token, whatever the options", () => {
    const sets: SamplingOptions[] = [{ temperature: 0 }, { temperature: 1 }, { topK: 1 }, { topP: 0.3, minP: 0.5 }];
    const states = sets.map((options) => {
      const sampler = createSampler({ ...options, seed: 9 });
      for (let i = 0; i < 5; i++) sampler.sample(logits, []);
      return sampler.state();
    });
    const rng = createRng(9);
    for (let i = 0; i < 5; i++) rng.nextFloat();
    for (const state of states) expect(state).toEqual({ seed: 9, rng: rng.state() });
  });

  it("restore continues, in another sampler and through JSON", () => {
    fc.assert(
      fc.property(fc.nat(20), fc.nat(), (nBefore, seed) => {
        const sampler = createSampler({ seed });
        for (let i = 0; i < nBefore; i++) sampler.sample(logits, []);
        const other = createSampler({ seed: 0 });
        other.restore(JSON.parse(JSON.stringify(sampler.state())) as SamplerState);
        expect(other.seed).toBe(seed);
        for (let i = 0; i < 5; i++) expect(other.sample(logits, [])).toBe(sampler.sample(logits, []));
      }),
      { numRuns: 50, seed: 1 },
    );
  });

  it("draws a seed and tells it", () => {
    const sampler = createSampler();
    const tokens = Array.from({ length: 10 }, () => sampler.sample(logits, []));
    expect(sampler.seed).not.toBe(createSampler().seed);
    const again = createSampler({ seed: sampler.seed });
    expect(Array.from({ length: 10 }, () => again.sample(logits, []))).toEqual(tokens);
  });

  it("takes vocabularies of changing size", () => {
    const sampler = createSampler({ seed: 1, topK: 40 });
    for (const n of [3, 2048, 1, 100]) expect(sampler.sample(pseudoLogits(n, 1), [])).toBeLessThan(n);
  });
});

describe("logits that are not finite", () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY])("%s is an error that names the token and uses no random number", (value) => {
    for (const temperature of [0, 1]) {
      const sampler = createSampler({ temperature, seed: 1 });
      const before = sampler.state();
      let error: unknown;
      try {
        sampler.sample(Float32Array.of(1, 9, value, 0), []);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(BackendError);
      expect(error).toMatchObject({ code: "logits-not-finite", data: { tokenId: 2 } });
      expect(sampler.state()).toEqual(before);
    }
  });
  it("all −Infinity is an error, and no logits at all too", () => {
    expect(() => createSampler({}).sample(Float32Array.of(NEVER, NEVER), [])).toThrow(
      expect.objectContaining({ code: "logits-all-masked" }),
    );
    expect(() => createSampler({}).sample(new Float32Array(0), [])).toThrow(BackendError);
  });
});

describe("options", () => {
  const wrong: Record<string, unknown[]> = {
    temperature: [-1, Number.NaN, Number.POSITIVE_INFINITY, "0.8", null],
    topK: [-1, 1.5, Number.NaN, "40", 2 ** 60],
    topP: [-0.1, 1.1, Number.NaN, "1", []],
    minP: [-0.1, 1.1, Number.NaN, true],
    repeatPenalty: [0, -1, Number.NaN, Number.POSITIVE_INFINITY, "1.1"],
    repeatLastN: [-2, 0.5, Number.NaN, "64"],
    seed: [-1, 0.5, Number.NaN, 2 ** 53, "7", null],
  };
  for (const [option, values] of Object.entries(wrong)) {
    it.each(values)(`${option}: %s is refused`, (value) => {
      let error: unknown;
      try {
        createSampler({ [option]: value } as SamplingOptions);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(ConfigError);
      expect(error).toMatchObject({ code: "invalid-option", data: { option }, hint: expect.any(String) });
    });
  }
  it("says what it got and what is allowed", () => {
    expect(() => createSampler({ topP: "1" as unknown as number })).toThrow(
      "sampling: topP is '1'; must be a number from 0 to 1",
    );
  });
  it("takes undefined as not given", () => {
    expect(() => createSampler({ temperature: undefined, topK: undefined, seed: undefined })).not.toThrow();
  });
});
