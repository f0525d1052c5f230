/**
 * The ops of a Program. The first group is what a family records, the second what passes put in its place.
 * Equations in the comments are per row of the free dimension.
 */
import type { ActivationKind } from "../quant/activations.ts";
import type { KvLayer, Tensor, Weight } from "./tensor.ts";

/** relu2: max(x, 0)²; silu: x / (1 + e^−x). */
export type ActivationFn = "relu2" | "silu";

/** Which pairs are rotated: neox (i, i + nDims/2), pairs (2i, 2i + 1). */
export type RopeStyle = "neox" | "pairs";

/** A rotation by position: pair i turns by `position · frequencies[i]`. */
export interface Rotary {
  readonly style: RopeStyle;
  /** [nDims / 2] radians per position, f64. */
  readonly frequencies: Float64Array;
}

export type Op =
  /** out = row `token` of weight */
  | { readonly kind: "embed"; readonly out: Tensor; readonly weight: Weight }
  /** out = x / sqrt(mean(x²) + eps) · weight */
  | { readonly kind: "rmsNorm"; readonly out: Tensor; readonly x: Tensor; readonly weight: Weight; readonly eps: number }
  /** out = W · x [· scale] */
  | { readonly kind: "matmul"; readonly out: Tensor; readonly x: Tensor; readonly weight: Weight; readonly scale: Weight | null }
  | { readonly kind: "add"; readonly out: Tensor; readonly a: Tensor; readonly b: Tensor }
  | { readonly kind: "mul"; readonly out: Tensor; readonly a: Tensor; readonly b: Tensor }
  | { readonly kind: "activation"; readonly out: Tensor; readonly x: Tensor; readonly fn: ActivationFn }
  /** Rotates each head of x by its position. */
  | { readonly kind: "rope"; readonly out: Tensor; readonly x: Tensor; readonly headDim: number; readonly rotary: Rotary }
  /** Stores the rows of k and v at their positions, rounded to the cache's type. */
  | { readonly kind: "kvWrite"; readonly k: Tensor; readonly v: Tensor; readonly kv: KvLayer }
  /** out = softmax(scale · q·Kᵀ over positions ≤ own) · V, per head; head h reads KV head h · nHeadKv / nHead. */
  | {
      readonly kind: "attention";
      readonly out: Tensor;
      readonly q: Tensor;
      readonly kv: KvLayer;
      readonly nHead: number;
      readonly scale: number;
    }
  /** out = the rows of x whose logits are wanted */
  | { readonly kind: "selectOutputs"; readonly out: Tensor; readonly x: Tensor }
  // What passes make:
  /** out = x rounded for a weight format */
  | { readonly kind: "quantize"; readonly out: Tensor; readonly x: Tensor; readonly activation: ActivationKind }
  /** quantize(rmsNorm(x)) */
  | {
      readonly kind: "rmsNormQuantize";
      readonly out: Tensor;
      readonly x: Tensor;
      readonly weight: Weight;
      readonly eps: number;
      readonly activation: ActivationKind;
    }
  /** out = fn(gate) · up */
  | {
      readonly kind: "gatedActivation";
      readonly out: Tensor;
      readonly gate: Tensor;
      readonly up: Tensor;
      readonly fn: ActivationFn;
    };

export type OpKind = Op["kind"];
export type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;

/** The tensors that an op reads. */
export function opInputs(op: Op): readonly Tensor[] {
  switch (op.kind) {
    case "embed":
      return [];
    case "add":
    case "mul":
      return [op.a, op.b];
    case "kvWrite":
      return [op.k, op.v];
    case "attention":
      return [op.q];
    case "gatedActivation":
      return [op.gate, op.up];
    case "rmsNorm":
    case "rmsNormQuantize":
    case "matmul":
    case "activation":
    case "rope":
    case "selectOutputs":
    case "quantize":
      return [op.x];
    default:
      return op satisfies never;
  }
}

/** The tensor that an op writes; null for `kvWrite`. */
export function opOutput(op: Op): Tensor | null {
  return op.kind === "kvWrite" ? null : op.out;
}

/** The weights that an op reads. */
export function opWeights(op: Op): readonly Weight[] {
  if (op.kind === "matmul") return op.scale === null ? [op.weight] : [op.weight, op.scale];
  return "weight" in op ? [op.weight] : [];
}
