/** A recorded forward pass: what every backend loads and runs. Passes map a Program to a Program. */
import { type Op, opInputs, opWeights } from "./ops.ts";
import type { KvLayer, Tensor, Weight } from "./tensor.ts";

export interface Program {
  readonly ops: readonly Op[];
  /** [nOutputs, nVocab] */
  readonly logits: Tensor;
  readonly kvLayers: readonly KvLayer[];
  /** Names that tests and traces use, e.g. `l_out-3`. */
  readonly labels: ReadonlyMap<string, Tensor>;
}

/** Identifies a weight in the format that it is computed in. */
export function weightKey(weight: Weight): string {
  return `${weight.name}:${weight.format}`;
}

/** Every weight that the Program reads, once per format, in order of first use. */
export function programWeights(program: Program): readonly Weight[] {
  const byKey = new Map<string, Weight>();
  for (const op of program.ops) for (const weight of opWeights(op)) byKey.set(weightKey(weight), weight);
  return [...byKey.values()];
}

/** How many ops read each tensor, by tensor id; the logits and the tensors that `keep` labels count once more. */
export function useCounts(program: Program, keep: readonly string[] = []): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  const count = (tensor: Tensor) => counts.set(tensor.id, (counts.get(tensor.id) ?? 0) + 1);
  for (const op of program.ops) opInputs(op).forEach(count);
  for (const [label, tensor] of program.labels) if (keep.includes(label)) count(tensor);
  count(program.logits);
  return counts;
}
