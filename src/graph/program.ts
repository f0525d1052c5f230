/** A recorded forward pass: what every backend loads and runs. Passes map a Program to a Program. */
import { type Op, type OpKind, opInputs, opWeights } from "./ops.ts";
import type { KvLayer, Tensor, Weight } from "./tensor.ts";

export interface Program {
  readonly ops: readonly Op[];
  /** [nOutputs, nVocab] */
  readonly logits: Tensor;
  readonly kvLayers: readonly KvLayer[];
  /** Names that tests and traces use, e.g. `l_out-3`. */
  readonly labels: ReadonlyMap<string, Tensor>;
}

/** Every weight that the Program reads, once, in order of first use. */
export function programWeights(program: Program): readonly Weight[] {
  const byName = new Map<string, Weight>();
  for (const op of program.ops) for (const weight of opWeights(op)) byName.set(weight.name, weight);
  return [...byName.values()];
}

/** The kinds of op by which `weight` is read: an embedding that is also the head has two. */
export function weightUses(program: Program, weight: Weight): ReadonlySet<OpKind> {
  return new Set(program.ops.filter((op) => opWeights(op).some((w) => w.name === weight.name)).map((op) => op.kind));
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
