/**
 * Cuts a lowered Program into stages for several threads in lock-step. Between two stages stands a barrier; inside a stage every thread
 * goes on alone.
 *
 * Ops whose work is the matrices or the cache are `split`: threads take ranges of it. Everything else is small at decode, where a step
 * has one row; there each thread computes it for itself into a place of its own (`each`), which costs microseconds and saves a barrier.
 * Decode of bitnet has five barriers per layer: behind q k v, attention, output, gate and up, down.
 */
import { type Op, opInputs, opOutput } from "../../graph/ops.ts";
import type { Program } from "../../graph/program.ts";

export type Share = "split" | "each";

/** Whether an op's work is large even for one row. */
export function shareOf(op: Op): Share {
  return op.kind === "matmul" || op.kind === "attention" ? "split" : "each";
}

/**
 * Pass: moves every op to the earliest stage that its inputs allow, else in the recorded order: k and v need not wait for the barrier
 * behind q because q is rotated first.
 */
export function orderByStage(program: Program): Program {
  /** Stage from which on a tensor can be read, by id; likewise for a cache layer. */
  const readable = new Map<number, number>();
  const written = new Map<number, number>();
  const stages = program.ops.map((op) => {
    const after = opInputs(op).map((tensor) => readable.get(tensor.id)!);
    const stage = Math.max(0, ...after, op.kind === "attention" ? written.get(op.kv.index)! : 0);
    const out = opOutput(op);
    if (out !== null) readable.set(out.id, shareOf(op) === "split" ? stage + 1 : stage);
    if (op.kind === "kvWrite") written.set(op.kv.index, stage);
    return stage;
  });
  const order = program.ops.map((_, i) => i).sort((a, b) => stages[a]! - stages[b]! || a - b);
  return { ...program, ops: order.map((i) => program.ops[i]!) };
}

/** Indices of ops by stage. */
export type Stages = readonly (readonly number[])[];

/** Stages for steps of one or few rows: a barrier only where an op reads what other threads wrote. */
export function decodeStages(program: Program): Stages {
  const stages: number[][] = [[]];
  /** Tensors that `split` ops of the current stage write: no thread has all of them. */
  let partial = new Set<number>();
  program.ops.forEach((op, i) => {
    if (opInputs(op).some((tensor) => partial.has(tensor.id))) {
      stages.push([]);
      partial = new Set();
    }
    stages.at(-1)!.push(i);
    const out = opOutput(op);
    if (out !== null && shareOf(op) === "split") partial.add(out.id);
  });
  return stages;
}

/** Stages for steps of many rows, where every op is split by rows: as `decodeStages`, but no thread has a whole tensor of any op. */
export function prefillStages(program: Program): Stages {
  const stages: number[][] = [[]];
  let partial = new Set<number>();
  let partialKv = new Set<number>();
  program.ops.forEach((op, i) => {
    const readsKv = op.kind === "attention" && partialKv.has(op.kv.index);
    if (readsKv || opInputs(op).some((tensor) => partial.has(tensor.id))) {
      stages.push([]);
      partial = new Set();
      partialKv = new Set();
    }
    stages.at(-1)!.push(i);
    const out = opOutput(op);
    if (out !== null) partial.add(out.id);
    if (op.kind === "kvWrite") partialKv.add(op.kv.index);
  });
  return stages;
}

/** The stage of each op. */
export function stageOf(stages: Stages): Uint32Array {
  const of = new Uint32Array(stages.reduce((n, stage) => n + stage.length, 0));
  stages.forEach((stage, s) => {
    for (const i of stage) of[i] = s;
  });
  return of;
}
