/**
 * The chain of samplers, in llama.cpp's order: penalties, top-k, top-p, min-p, temperature, draw. Every step is exact or uses
 * `numerics/elementary.ts`, so that the same logits, history and seed give the same token in every engine.
 */
import { argmax, type Candidates, createCandidates, fillCandidates } from "./candidates.ts";
import { draw } from "./draw.ts";
import { minP } from "./min-p.ts";
import { DEFAULT_REPEAT_LAST_N, DEFAULT_TEMPERATURE, type SamplingOptions, validateSampling } from "./options.ts";
import { applyRepetitionPenalty } from "./repetition-penalty.ts";
import { checkSeed, createRng, type RngState, rngFromState } from "./rng.ts";
import { scaleByTemperature } from "./temperature.ts";
import { topK } from "./top-k.ts";
import { topP } from "./top-p.ts";

/** Where a sampler stands; plain data that survives JSON. */
export interface SamplerState {
  readonly seed: number;
  readonly rng: RngState;
}

/** Chooses one token after another. */
export interface Sampler {
  /** The seed given, or the one that was drawn. */
  readonly seed: number;
  /**
   * Id of the next token. Uses exactly one random number, at temperature 0 too; leaves `logits` [nVocab] as they are.
   * `history` is the token ids so far, the latest last.
   * @throws BackendError `logits-not-finite` for NaN or +Infinity, `logits-all-masked`; then no random number is used
   */
  sample(logits: Float32Array, history: ArrayLike<number>): number;
  state(): SamplerState;
  /** Continues from `state`. @throws ConfigError `invalid-option` */
  restore(state: SamplerState): void;
}

/**
 * A sampler with these options.
 * @throws ConfigError `invalid-option`
 */
export function createSampler(options: SamplingOptions = {}): Sampler {
  validateSampling(options);
  const temperature = options.temperature ?? DEFAULT_TEMPERATURE;
  const penalty = options.repeatPenalty ?? 1;
  const lastN = options.repeatLastN ?? DEFAULT_REPEAT_LAST_N;
  const { topK: k = 0, topP: p = 1, minP: least = 0 } = options;
  let seed = options.seed ?? drawSeed();
  let rng = createRng(seed);
  let candidates: Candidates | undefined;

  return {
    get seed() {
      return seed;
    },
    sample(logits, history) {
      const best = argmax(logits);
      const random = rng.nextFloat();
      if (temperature === 0 && penalty === 1) return best;
      if (candidates?.ids.length !== logits.length) candidates = createCandidates(logits.length);
      fillCandidates(candidates, logits);
      applyRepetitionPenalty(candidates.logits, history, penalty, lastN);
      if (temperature === 0) return argmax(candidates.logits);
      topK(candidates, k);
      topP(candidates, p);
      minP(candidates, least);
      scaleByTemperature(candidates, temperature);
      return draw(candidates, random);
    },
    state: () => ({ seed, rng: rng.state() }),
    restore(state) {
      checkSeed(state.seed);
      rng = rngFromState(state.rng);
      seed = state.seed;
    },
  };
}

function drawSeed(): number {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return (words[0]! & 0x1fffff) * 2 ** 32 + words[1]!;
}
