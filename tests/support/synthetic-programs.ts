/** Tiny Programs for op tests: weights that live in memory, inputs that come from the rows of an F32 embedding, one run on any backend. */
import { type Backend, PAGE_TOKENS, type Step, type WeightReader } from "../../src/backends/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { VARIANTS, type Variant } from "../../src/backends/wasm/variant.ts";
import { Graph } from "../../src/graph/graph.ts";
import { opOutput } from "../../src/graph/ops.ts";
import type { Program } from "../../src/graph/program.ts";
import type { Tensor, Weight } from "../../src/graph/tensor.ts";
import type { QuantMatrix } from "../../src/quant/format.ts";
import type { FormatName } from "../../src/quant/geometry.ts";
import { quantFormat } from "../../src/quant/registry.ts";
import { seededRandom } from "./synthetic-random.ts";

export const PLAIN = wasmBackend({ variant: "plain" });
export const RELAXED = wasmBackend({ variant: "relaxed" });
/** Every variant; one that this runtime does not compute right is `plain` again. */
export const WASM_VARIANTS: readonly (readonly [Variant, Backend])[] = VARIANTS.map((variant) => [
  variant,
  wasmBackend({ variant }),
]);

/** A WeightReader over matrices in memory; `weight()` adds one and returns its description. */
export class MemoryWeights implements WeightReader {
  readonly canReadSync = true;
  readonly #matrices = new Map<string, QuantMatrix>();

  /** Quantises `values` [nRows, nCols]. */
  add(name: string, format: FormatName, values: Float32Array, nRows: number): Weight {
    const nCols = values.length / nRows;
    return this.addMatrix(name, format, quantFormat(format, name).quantize!(values, nRows, nCols));
  }

  addMatrix(name: string, format: FormatName, matrix: QuantMatrix): Weight {
    this.#matrices.set(name, matrix);
    return { name, format, nRows: matrix.nRows, nCols: matrix.nCols };
  }

  async rows(weight: Weight, begin: number, end: number): Promise<QuantMatrix> {
    return this.#slice(weight, begin, end);
  }

  rowSync(weight: Weight, row: number): QuantMatrix {
    return this.#slice(weight, row, row + 1);
  }

  #slice(weight: Weight, begin: number, end: number): QuantMatrix {
    const matrix = this.#matrices.get(weight.name)!;
    const rowBytes = matrix.data.length / matrix.nRows;
    return { ...matrix, nRows: end - begin, data: matrix.data.slice(begin * rowBytes, end * rowBytes) };
  }
}

/** A Program under construction whose result is every row of one tensor. */
export class ProgramUnderTest {
  readonly graph = new Graph();
  readonly weights = new MemoryWeights();
  #nInputs = 0;

  /** An input [nTokens, nCols]: row t is what token t embeds to. */
  input(rows: readonly Float32Array[]): Tensor {
    return this.graph.embed(this.weights.add(`input.${this.#nInputs++}`, "F32", concat(rows), rows.length));
  }

  finish(result: Tensor): Program {
    return this.graph.finish(this.graph.selectOutputs(result));
  }
}

export function concat(rows: readonly Float32Array[]): Float32Array {
  const flat = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    flat.set(row, at);
    at += row.length;
  }
  return flat;
}

/** The pages of one sequence of up to `nTokens`, in an order of their own. */
export function shuffledPages(nTokens: number, seed: number): number[] {
  const pages = Array.from({ length: Math.max(1, Math.ceil(nTokens / PAGE_TOKENS)) }, (_, i) => i);
  const random = seededRandom(seed);
  for (let i = pages.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [pages[i], pages[j]] = [pages[j]!, pages[i]!];
  }
  return pages;
}

export interface RunOptions {
  /** Tokens per step, default all in one. */
  readonly chunk?: number;
  readonly pages?: readonly number[];
  readonly keep?: readonly string[];
}

/** All rows of the result for tokens 0 … nTokens − 1 of one sequence, [nTokens, nCols]. */
export async function runAll(
  backend: Backend,
  program: Program,
  weights: WeightReader,
  nTokens: number,
  options: RunOptions = {},
): Promise<Float32Array> {
  const chunk = options.chunk ?? nTokens;
  const pages = options.pages ?? shuffledPages(nTokens, 0);
  const loaded = await backend.load(program, weights, {
    nPages: pages.length,
    maxTokens: chunk,
    maxOutputs: chunk,
    keep: options.keep ?? [],
  });
  const rows = new Float32Array(nTokens * program.logits.nCols);
  for (let begin = 0; begin < nTokens; begin += chunk) {
    const n = Math.min(chunk, nTokens - begin);
    const step: Step = {
      tokens: Array.from({ length: n }, (_, i) => begin + i),
      spans: [{ nTokens: n, position: begin, pages }],
      outputs: Array.from({ length: n }, (_, i) => i),
    };
    rows.set(loaded.run(step), begin * program.logits.nCols);
  }
  loaded.dispose();
  return rows;
}

/** The Program with a label on every tensor, and the labels: kept, they switch every fusion off. */
export function labelAll(program: Program): { program: Program; keep: string[] } {
  const labels = new Map<string, Tensor>();
  for (const op of program.ops) {
    const out = opOutput(op);
    if (out !== null) labels.set(`tensor-${out.id}`, out);
  }
  return { program: { ...program, labels }, keep: [...labels.keys()] };
}

/** The bits of f32 values, so that −0, NaN and every last bit count. */
export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength));
}

/** Index of the first value whose bits differ; −1 where there is none. */
export function firstDifference(a: Float32Array, b: Float32Array): number {
  const [left, right] = [bitsOf(a), bitsOf(b)];
  if (left.length !== right.length) return Math.min(left.length, right.length);
  return left.findIndex((bits, i) => bits !== right[i]);
}

const KINDS = ["normal", "zeros", "minus zeros", "tiny", "huge", "equal", "halves", "mixed", "one spike"] as const;
export type RowKind = (typeof KINDS)[number];
export const ROW_KINDS: readonly RowKind[] = KINDS;

/** A row of activations; each kind but the first was chosen to hurt some kernel. */
export function activationRow(kind: RowKind, n: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  const row = random.normals(n);
  switch (kind) {
    case "normal":
      return row;
    case "zeros":
      return row.fill(0);
    case "minus zeros":
      return row.map((_, i) => (i % 3 === 0 ? 0 : -0));
    case "tiny":
      return row.map((value) => value * 1e-30);
    case "huge":
      return row.map((value) => value * 1e4);
    case "equal":
      return row.fill(row[0]!);
    case "halves":
      // absmax 127 makes the factor 1, in each block of 32 too: every other value lies exactly between two integers
      return row.map((_, i) => (i % 32 === 0 ? (i % 64 === 0 ? 127 : -127) : random.below(254) - 127 + 0.5));
    case "mixed":
      return row.map((value, i) => [value, 0, -0, 1e-30, 1e4, -1e4, 1, -1][(i + seed) % 8]!);
    case "one spike":
      return row.map((value, i) => (i === seed % n ? 1e4 : value * 1e-3));
    default:
      throw new Error(kind satisfies never);
  }
}
