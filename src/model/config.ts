/**
 * What a decoder is, in numbers: `ModelConfig` and how it is read from metadata. Bounds are far above any known model and far below
 * what would overflow: they only stop hostile files.
 */
import type { HyperParameters } from "./hyper-parameters.ts";

export interface ModelConfig {
  readonly architecture: string;
  readonly nCtxTrain: number;
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly headDim: number;
  readonly nFf: number;
  readonly nVocab: number;
  readonly rmsEps: number;
  readonly rope: RopeConfig;
}

export interface RopeConfig {
  /** Values of a head that are rotated, from its start; even. */
  readonly nDims: number;
  readonly theta: number;
  /** Linear scaling: positions are divided by it. */
  readonly factor: number;
}

const MAX_WIDTH = 1 << 20;
const MAX_LAYERS = 1024;
const MAX_CONTEXT = 1 << 27;

/** The keys that every decoder has. `nVocab` is the number of rows of the embedding. */
export function readConfig(h: HyperParameters, nVocab: number): ModelConfig {
  const nEmbd = h.integer("embedding_length", { min: 1, max: MAX_WIDTH });
  const nHead = h.integer("attention.head_count", { min: 1, max: MAX_WIDTH });
  const nHeadKv = h.integer("attention.head_count_kv", { min: 1, max: MAX_WIDTH, fallback: nHead });
  h.require(nHead % nHeadKv === 0, "attention.head_count_kv", nHeadKv, `a divisor of attention.head_count, ${nHead}`);
  const hasKeyLength = h.has("attention.key_length");
  h.require(hasKeyLength || nEmbd % nHead === 0, "embedding_length", nEmbd, `a multiple of attention.head_count, ${nHead}`);
  const headDim = h.integer("attention.key_length", { min: 1, max: MAX_WIDTH, fallback: nEmbd / nHead });
  const valueDim = h.integer("attention.value_length", { min: 1, max: MAX_WIDTH, fallback: headDim });
  h.require(valueDim === headDim, "attention.value_length", valueDim, `attention.key_length, ${headDim}`);
  const vocabSize = h.integer("vocab_size", { min: 1, max: 1 << 24, fallback: nVocab });
  h.require(vocabSize === nVocab, "vocab_size", vocabSize, `the number of rows of token_embd.weight, ${nVocab}`);
  return {
    architecture: h.architecture,
    nCtxTrain: h.integer("context_length", { min: 1, max: MAX_CONTEXT }),
    nEmbd,
    nLayer: h.integer("block_count", { min: 1, max: MAX_LAYERS }),
    nHead,
    nHeadKv,
    headDim,
    nFf: h.integer("feed_forward_length", { min: 1, max: MAX_WIDTH }),
    nVocab,
    rmsEps: h.positive("attention.layer_norm_rms_epsilon"),
    rope: readRope(h, headDim),
  };
}

function readRope(h: HyperParameters, headDim: number): RopeConfig {
  const nDims = h.integer("rope.dimension_count", { min: 2, max: headDim, fallback: headDim });
  h.require(nDims % 2 === 0, "rope.dimension_count", nDims, "even");
  const scaling = h.string("rope.scaling.type") ?? "none";
  h.require(scaling === "none" || scaling === "linear", "rope.scaling.type", scaling, "none or linear for this architecture");
  return {
    nDims,
    theta: h.positive("rope.freq_base", 10_000),
    factor: scaling === "linear" ? h.positive("rope.scaling.factor", 1) : 1,
  };
}
