/** What a file in families/ states: which architectures it is, how its config is read, and its forward pass. */
import type { Graph } from "../graph/graph.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import type { ModelConfig } from "./config.ts";
import type { HyperParameters } from "./hyper-parameters.ts";
import type { Weights } from "./weights.ts";

export interface Family<C extends ModelConfig = ModelConfig> {
  /** Values of `general.architecture` that it reads. */
  readonly architectures: readonly string[];
  /** Tensors that may stay unused, each with its reason in the family's file. */
  readonly ignorable: readonly RegExp[];
  /** Sampling that suits its models where the caller says nothing. */
  readonly defaultSampling: SamplingOptions;
  readConfig(h: HyperParameters, weights: Weights): C;
  /** Records the pass from token ids to logits [nOutputs, nVocab]. */
  forward(g: Graph, config: C, weights: Weights): Tensor;
}

/** Lets a family state its own config type and still stand in one list. */
export function defineFamily<C extends ModelConfig>(family: Family<C>): Family {
  return family as unknown as Family;
}
