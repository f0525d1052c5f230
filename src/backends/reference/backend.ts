/**
 * The reference backend: the recorded Program, unfused, op by op, in plain TypeScript. Slow; it defines what is right. Values between
 * ops are f32, sums inside an op f64, except where a format's rounding or integer product is part of its definition.
 */
import type { Op } from "../../graph/ops.ts";
import { type Program, programWeights } from "../../graph/program.ts";
import type { Tensor, Weight } from "../../graph/tensor.ts";
import { roundActivations } from "../../quant/activations.ts";
import type { QuantMatrix } from "../../quant/format.ts";
import { quantFormat } from "../../quant/registry.ts";
import { type Backend, kvBytesPerToken, type LoadedProgram, PAGE_TOKENS, type Step, type WeightReader } from "../backend.ts";
import { activate } from "./activation.ts";
import { attention } from "./attention.ts";
import { KvStore } from "./kv-store.ts";
import { rmsNorm } from "./rms-norm.ts";
import { rope } from "./rope.ts";

/** [rows][nCols] */
type RowsOf = Float32Array[];

export const referenceBackend: Backend = {
  name: "reference",

  plan: (program, options) => ({
    weightsBytes: programWeights(program).reduce(
      (sum, weight) => sum + weight.nRows * quantFormat(weight.format, `tensor '${weight.name}'`).rowBytes(weight.nCols),
      0,
    ),
    kvBytes: options.nPages * PAGE_TOKENS * kvBytesPerToken(program.kvLayers),
    scratchBytes: program.ops.reduce((sum, op) => sum + ("out" in op ? 4 * op.out.nCols * options.maxTokens : 0), 0),
    notes: [],
  }),

  async load(program, weights, options) {
    const matrices = new Map<string, QuantMatrix>();
    for (const weight of programWeights(program)) matrices.set(weight.name, await readWhole(weights, weight, options.signal));
    return new ReferenceProgram(program, matrices);
  },
};

async function readWhole(weights: WeightReader, weight: Weight, signal?: AbortSignal): Promise<QuantMatrix> {
  return weights.rows(weight, 0, weight.nRows, signal);
}

class ReferenceProgram implements LoadedProgram {
  readonly description = "reference: plain TypeScript, one thread";
  readonly threads = 1;
  readonly threadsReason = "the reference backend has one thread";
  readonly #program: Program;
  readonly #matrices: ReadonlyMap<string, QuantMatrix>;
  readonly #kv: KvStore;
  #values = new Map<number, RowsOf>();

  constructor(program: Program, matrices: ReadonlyMap<string, QuantMatrix>) {
    this.#program = program;
    this.#matrices = matrices;
    this.#kv = new KvStore(program.kvLayers);
  }

  run(step: Step): Float32Array {
    this.#values = new Map();
    for (const op of this.#program.ops) this.#runOp(op, step);
    return this.#flat(this.#program.logits);
  }

  copyPage(from: number, to: number): void {
    this.#kv.copyPage(from, to);
  }

  read(label: string): Float32Array {
    return this.#flat(this.#program.labels.get(label)!);
  }

  dispose(): void {
    this.#values.clear();
  }

  #flat(tensor: Tensor): Float32Array {
    const rows = this.#rows(tensor);
    const flat = new Float32Array(rows.length * tensor.nCols);
    rows.forEach((row, i) => {
      flat.set(row, i * tensor.nCols);
    });
    return flat;
  }

  #rows(tensor: Tensor): RowsOf {
    return this.#values.get(tensor.id)!;
  }

  #runOp(op: Op, step: Step): void {
    if (op.kind === "kvWrite") {
      const [k, v] = [this.#rows(op.k), this.#rows(op.v)];
      forEachToken(step, (row, position, span) => this.#kv.write(op.kv, span, position, k[row]!, v[row]!));
      return;
    }
    this.#values.set(op.out.id, this.#compute(op, step));
  }

  #compute(op: Exclude<Op, { kind: "kvWrite" }>, step: Step): RowsOf {
    switch (op.kind) {
      case "embed":
        return Array.from(step.tokens, (token) => this.#weightRow(op.weight, token));
      case "rmsNorm": {
        const weight = this.#weightRow(op.weight, 0);
        return this.#rows(op.x).map((x) => rmsNorm(x, weight, op.eps));
      }
      case "matmul":
        return this.#rows(op.x).map((x) => this.#matmul(op.weight, op.scale, x));
      case "add":
        return this.#rows(op.a).map((a, i) => a.map((value, j) => value + this.#rows(op.b)[i]![j]!));
      case "mul":
        return this.#rows(op.a).map((a, i) => a.map((value, j) => value * this.#rows(op.b)[i]![j]!));
      case "activation":
        return this.#rows(op.x).map((x) => x.map((value) => activate(op.fn, value)));
      case "rope": {
        const x = this.#rows(op.x);
        const out: RowsOf = [];
        forEachToken(step, (row, position) => out.push(rope(x[row]!, op.headDim, op.rotary, position)));
        return out;
      }
      case "attention": {
        const q = this.#rows(op.q);
        const out: RowsOf = [];
        forEachToken(step, (row, position, span) => out.push(attention(op, q[row]!, this.#kv.rows(op.kv, span), position)));
        return out;
      }
      case "selectOutputs":
        return Array.from(step.outputs, (row) => this.#rows(op.x)[row]!);
      case "quantize":
      case "rmsNormQuantize":
      case "gatedActivation":
        throw new Error(`the reference runs the recorded Program, not a lowered one with ${op.kind}`);
      default:
        throw new Error(op satisfies never);
    }
  }

  #weightRow(weight: Weight, row: number): Float32Array {
    const out = new Float32Array(weight.nCols);
    quantFormat(weight.format, weight.name).dequantizeRow(this.#matrices.get(weight.name)!, row, out);
    return out;
  }

  #matmul(weight: Weight, scale: Weight | null, x: Float32Array): Float32Array {
    const format = quantFormat(weight.format, weight.name);
    const matrix = this.#matrices.get(weight.name)!;
    const rounded = roundActivations(format.activation, x);
    const factor = scale === null ? 1 : this.#weightRow(scale, 0)[0]!;
    return Float32Array.from({ length: weight.nRows }, (_, row) => format.dot(matrix, row, rounded) * factor);
  }
}

/** Calls `visit(row, position, span)` for every token of the step. */
function forEachToken(step: Step, visit: (row: number, position: number, span: Step["spans"][number]) => void): void {
  let row = 0;
  for (const span of step.spans) {
    for (let i = 0; i < span.nTokens; i++) visit(row++, span.position + i, span);
  }
}
