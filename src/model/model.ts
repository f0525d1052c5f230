/** From a parsed file to a recorded Program: picks the family, reads the config, records the pass, checks that no tensor is left. */
import { GgufError } from "../errors.ts";
import type { GgufFile } from "../gguf/metadata.ts";
import { Graph } from "../graph/graph.ts";
import type { Program } from "../graph/program.ts";
import type { ModelConfig } from "./config.ts";
import { familyOf } from "./families/registry.ts";
import { HyperParameters } from "./hyper-parameters.ts";
import { Weights } from "./weights.ts";

export interface ModelDefinition {
  readonly config: ModelConfig;
  readonly program: Program;
}

/** `general.architecture`, the one key that every model needs. */
export function architectureOf(file: GgufFile): string {
  const architecture = file.metadata.string("general.architecture");
  if (architecture !== undefined) return architecture;
  throw new GgufError("gguf-architecture-missing", "gguf: key 'general.architecture' is missing; every model file has it", 0);
}

/** @throws UnsupportedError, GgufError when the file does not hold a model that this engine runs. */
export function defineModel(file: GgufFile): ModelDefinition {
  const architecture = architectureOf(file);
  const family = familyOf(architecture);
  const weights = new Weights(file.tensors);
  const config = family.readConfig(new HyperParameters(architecture, file.metadata), weights);
  const graph = new Graph();
  const program = graph.finish(family.forward(graph, config, weights));
  weights.assertAllTaken(architecture, family.ignorable);
  return { config, program };
}
