/**
 * Pass: peephole fusion of an op with the one op that reads its result. Only neighbours in data flow whose intermediate has a single
 * use are joined; results are the same bits, since the fused kernels do the same steps in the same order.
 */
import type { Op } from "./ops.ts";
import { opOutput } from "./ops.ts";
import { type Program, useCounts } from "./program.ts";

/** Joins (rmsNorm, quantize) and (activation, mul). `keep` names labels whose tensors must stay. */
export function fuse(program: Program, keep: readonly string[] = []): Program {
  const uses = useCounts(program, keep);
  const producer = new Map<number, Op>();
  for (const op of program.ops) {
    const out = opOutput(op);
    if (out !== null) producer.set(out.id, op);
  }
  const absorbed = new Set<Op>();
  /** The op behind a tensor, if nobody else wants that tensor. */
  const only = (id: number): Op | undefined => (uses.get(id) === 1 ? producer.get(id) : undefined);

  const joined = program.ops.map((op): Op => {
    if (op.kind === "quantize") {
      const norm = only(op.x.id);
      if (norm?.kind !== "rmsNorm") return op;
      absorbed.add(norm);
      return { kind: "rmsNormQuantize", out: op.out, x: norm.x, weight: norm.weight, eps: norm.eps, activation: op.activation };
    }
    if (op.kind === "mul") {
      const left = only(op.a.id);
      if (left?.kind !== "activation") return op;
      absorbed.add(left);
      return { kind: "gatedActivation", out: op.out, gate: left.x, up: op.b, fn: left.fn };
    }
    return op;
  });
  return { ...program, ops: joined.filter((_, i) => !absorbed.has(program.ops[i]!)) };
}
