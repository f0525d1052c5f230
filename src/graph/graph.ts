/**
 * Records a forward pass. A family file calls these methods in the order of its paper; each checks shapes at once, so that a wrong
 * model fails at the line that is wrong.
 */
import type { ActivationFn, Op, Rotary } from "./ops.ts";
import type { Program } from "./program.ts";
import type { KvLayer, Rows, Tensor, Weight } from "./tensor.ts";

export class Graph {
  readonly #ops: Op[] = [];
  readonly #kvLayers: KvLayer[] = [];
  readonly #labels = new Map<string, Tensor>();
  #nTensors = 0;

  /** [nTokens] ids → [nTokens, nEmbd] */
  embed(weight: Weight): Tensor {
    return this.#record((out) => ({ kind: "embed", out, weight }), "nTokens", weight.nCols);
  }

  /** x / sqrt(mean(x²) + eps) · weight, per row */
  rmsNorm(x: Tensor, weight: Weight, eps: number): Tensor {
    assertShape(weight.nRows === 1 && weight.nCols === x.nCols, `rmsNorm: weight ${describe(weight)} on rows of ${x.nCols}`);
    return this.#record((out) => ({ kind: "rmsNorm", out, x, weight, eps }), x.rows, x.nCols);
  }

  /** [rows, nCols] → [rows, nRows of weight]; `scale` [1] multiplies the product. */
  matmul(x: Tensor, weight: Weight, scale: Weight | null = null): Tensor {
    assertShape(weight.nCols === x.nCols, `matmul: weight ${describe(weight)} on rows of ${x.nCols}`);
    assertShape(scale === null || (scale.nRows === 1 && scale.nCols === 1), "matmul: scale must have one element");
    return this.#record((out) => ({ kind: "matmul", out, x, weight, scale }), x.rows, weight.nRows);
  }

  add(a: Tensor, b: Tensor): Tensor {
    assertSame("add", a, b);
    return this.#record((out) => ({ kind: "add", out, a, b }), a.rows, a.nCols);
  }

  mul(a: Tensor, b: Tensor): Tensor {
    assertSame("mul", a, b);
    return this.#record((out) => ({ kind: "mul", out, a, b }), a.rows, a.nCols);
  }

  activation(fn: ActivationFn, x: Tensor): Tensor {
    return this.#record((out) => ({ kind: "activation", out, x, fn }), x.rows, x.nCols);
  }

  /** Rotates the first 2 · frequencies.length values of each head of x [nTokens, nHead · headDim]. */
  rope(x: Tensor, headDim: number, rotary: Rotary): Tensor {
    const nDims = 2 * rotary.frequencies.length;
    assertShape(
      x.nCols % headDim === 0 && nDims <= headDim,
      `rope: ${nDims} of ${headDim} values per head on rows of ${x.nCols}`,
    );
    return this.#record((out) => ({ kind: "rope", out, x, headDim, rotary }), x.rows, x.nCols);
  }

  /** Stores k and v [nTokens, nHeadKv · headDim] in a cache layer of their own and returns the layer. */
  kvWrite(k: Tensor, v: Tensor, nHeadKv: number, headDim: number): KvLayer {
    assertShape(
      k.nCols === nHeadKv * headDim && v.nCols === k.nCols,
      `kvWrite: rows of ${k.nCols} and ${v.nCols}, not ${nHeadKv} × ${headDim}`,
    );
    const kv: KvLayer = { index: this.#kvLayers.length, nHeadKv, headDim };
    this.#kvLayers.push(kv);
    this.#ops.push({ kind: "kvWrite", k, v, kv });
    return kv;
  }

  /** Causal attention of q [nTokens, nHead · headDim] over a cache layer → [nTokens, nHead · headDim] */
  attention(q: Tensor, kv: KvLayer, nHead: number, scale: number): Tensor {
    assertShape(
      q.nCols === nHead * kv.headDim && nHead % kv.nHeadKv === 0,
      `attention: ${nHead} heads over ${kv.nHeadKv} on rows of ${q.nCols}`,
    );
    return this.#record((out) => ({ kind: "attention", out, q, kv, nHead, scale }), q.rows, q.nCols);
  }

  /** [nTokens, n] → [nOutputs, n] */
  selectOutputs(x: Tensor): Tensor {
    assertShape(x.rows === "nTokens", "selectOutputs: rows are already selected");
    return this.#record((out) => ({ kind: "selectOutputs", out, x }), "nOutputs", x.nCols);
  }

  /** Gives a tensor a name for traces; it then outlives its last use where a backend is asked to keep it. */
  label(name: string, tensor: Tensor): Tensor {
    this.#labels.set(name, tensor);
    return tensor;
  }

  finish(logits: Tensor): Program {
    assertShape(logits.rows === "nOutputs", "finish: logits must have one row per wanted output");
    return { ops: this.#ops, logits, kvLayers: this.#kvLayers, labels: this.#labels };
  }

  #record(op: (out: Tensor) => Op, rows: Rows, nCols: number): Tensor {
    const out: Tensor = { id: this.#nTensors++, rows, nCols, layout: "f32" };
    this.#ops.push(op(out));
    return out;
  }
}

function describe(weight: Weight): string {
  return `'${weight.name}' [${weight.nRows}, ${weight.nCols}]`;
}

/** A wrong shape here is a mistake in a family file: files are checked against their config before. */
function assertShape(isRight: boolean, message: string): asserts isRight {
  if (!isRight) throw new Error(`graph: ${message}`);
}

function assertSame(op: string, a: Tensor, b: Tensor): void {
  assertShape(a.rows === b.rows && a.nCols === b.nCols, `${op}: [${a.rows}, ${a.nCols}] and [${b.rows}, ${b.nCols}]`);
}
