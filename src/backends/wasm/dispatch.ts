/**
 * Binds each op of a lowered Program to its kernel: a Dispatch says how many items of work a step has and runs a range of them.
 * Ranges of one dispatch are independent, so several workers may share them between two barriers; one worker runs [0, nItems).
 */
import type { Op } from "../../graph/ops.ts";
import type { Tensor } from "../../graph/tensor.ts";
import { PANEL_ROWS } from "../../quant/panel.ts";
import { emitAttention } from "./attention.ts";
import { activation, add, emitBinary, gated, mul } from "./elementwise.ts";
import type { Kernel, KernelSet } from "./kernels.ts";
import { emitKvWrite } from "./kv-write.ts";
import { emitMatmul } from "./matmul.ts";
import { emitTernaryTables } from "./matmul-ternary.ts";
import { emitQuantize, emitRmsNorm } from "./rms-norm.ts";
import { emitRope } from "./rope.ts";
import type { RowForm } from "./row-form.ts";
import { panelFor } from "./variant.ts";
import { emitExp } from "./vector-math.ts";
import type { PlacedWeights } from "./weights.ts";

/** What differs from step to step, as kernels see it. */
export interface StepView {
  nTokens: number;
  nOutputs: number;
  /** Rows whose logits are wanted. */
  outputs: ArrayLike<number>;
}

/** Addresses that are fixed at load. */
export interface Binding {
  readonly kernels: KernelSet;
  readonly weights: PlacedWeights;
  /** Address of a tensor's first row, and bytes from row to row. */
  address(tensor: Tensor): number;
  stride(tensor: Tensor): number;
  form(tensor: Tensor): RowForm;
  f32(address: number, n: number): Float32Array;
  copy(from: number, to: number, nBytes: number): void;
  /** Token entries {position, page table}. */
  readonly tokensAddress: number;
  /** Set to 1 by a kernel that met a number which must not be. */
  readonly faultAddress: number;
  /** Scratch of the attention kernel, and of a matmul. */
  readonly scoresAddress: number;
  readonly matmulAddress: number;
  slotOffset(kvIndex: number): number;
  ropeTableAddress(op: Extract<Op, { kind: "rope" }>): number;
}

export interface Dispatch {
  readonly kind: Op["kind"];
  /** Ranges should begin at multiples of this: the largest tile's items. */
  readonly grain: number;
  nItems(step: StepView): number;
  run(begin: number, end: number, step: StepView): void;
}

export function bindOp(op: Op, b: Binding): Dispatch {
  const nRows = (tensor: Tensor) => (step: StepView) => (tensor.rows === "nTokens" ? step.nTokens : step.nOutputs);
  switch (op.kind) {
    case "embed":
      throw new Error("wasm: embeddings are looked up before a step, not dispatched");
    case "rmsNorm":
    case "rmsNormQuantize": {
      const form = b.form(op.out);
      const tables = tablesFor(form, b);
      const kernel = b.kernels.kernel(`rms_norm.${form}.${op.eps}`, (m, name) => emitRmsNorm(m, name, op.eps, form, tables));
      const weight = b.weights.vectorAddress(op.weight);
      const nBytes = paddedBytes(op.x);
      const run: Dispatch["run"] = (begin, end) =>
        kernel.call(begin, end, b.address(op.x), b.stride(op.x), weight, b.address(op.out), b.stride(op.out), nBytes, op.x.nCols);
      return { kind: op.kind, grain: 1, nItems: nRows(op.x), run };
    }
    case "quantize": {
      const form = b.form(op.out);
      const tables = tablesFor(form, b);
      const kernel = b.kernels.kernel(`quantize.${form}`, (m, name) => emitQuantize(m, name, form, tables));
      const run: Dispatch["run"] = (begin, end) =>
        kernel.call(begin, end, b.address(op.x), b.stride(op.x), b.address(op.out), b.stride(op.out), paddedBytes(op.x));
      return { kind: op.kind, grain: 1, nItems: nRows(op.x), run };
    }
    case "matmul": {
      const panel = panelFor(op.weight, b.kernels.variant);
      const form = b.form(op.x);
      const kernel = b.kernels.kernel(`matmul.${op.weight.format}.${form}`, (m, name, variant) =>
        emitMatmul(m, name, panel, variant, form),
      );
      const w = b.weights.panelAddress(op.weight);
      const nBlocks = op.weight.nCols / panel.blockColumns;
      const nPanels = Math.ceil(op.weight.nRows / PANEL_ROWS);
      const rows = nRows(op.x);
      const run: Dispatch["run"] = (begin, end, step) => {
        const scale = b.weights.productScale(op.weight, op.scale);
        kernel.call(
          begin,
          end,
          rows(step),
          b.address(op.x),
          b.stride(op.x),
          w,
          b.address(op.out),
          b.stride(op.out),
          nBlocks,
          scale,
          b.matmulAddress,
        );
      };
      return {
        kind: op.kind,
        grain: Math.max(8, (2 * panel.rows) / PANEL_ROWS),
        nItems: (step) => (rows(step) === 0 ? 0 : nPanels),
        run,
      };
    }
    case "add":
    case "mul": {
      const kernel = b.kernels.kernel(op.kind, (m, name) => emitBinary(m, name, op.kind === "add" ? add : mul));
      return vectors(op.kind, kernel, op.a, op.b, op.out, b, nRows(op.out));
    }
    case "activation": {
      const exp = b.kernels.shared("exp", emitExp);
      const kernel = b.kernels.kernel(`activation.${op.fn}`, (m, name) => emitBinary(m, name, activation(op.fn, exp)));
      return vectors(op.kind, kernel, op.x, op.x, op.out, b, nRows(op.out));
    }
    case "gatedActivation": {
      const exp = b.kernels.shared("exp", emitExp);
      const kernel = b.kernels.kernel(`gated.${op.fn}`, (m, name) => emitBinary(m, name, gated(op.fn, exp)));
      return vectors(op.kind, kernel, op.gate, op.up, op.out, b, nRows(op.out));
    }
    case "rope": {
      const shape = {
        style: op.rotary.style,
        nPairs: op.rotary.frequencies.length,
        headDim: op.headDim,
        nHeads: op.x.nCols / op.headDim,
      };
      const kernel = b.kernels.kernel(`rope.${Object.values(shape).join(".")}`, (m, name) => emitRope(m, name, shape));
      const table = b.ropeTableAddress(op);
      const run: Dispatch["run"] = (begin, end) =>
        kernel.call(begin, end, b.address(op.x), b.address(op.out), b.stride(op.out), table);
      return { kind: op.kind, grain: 1, nItems: nRows(op.x), run };
    }
    case "kvWrite": {
      const kernel = b.kernels.kernel(`kv_write.${op.kv.nHeadKv}.${op.kv.headDim}`, (m, name) => emitKvWrite(m, name, op.kv));
      const slot = b.slotOffset(op.kv.index);
      const run: Dispatch["run"] = (begin, end) =>
        kernel.call(begin, end, b.address(op.k), b.address(op.v), b.stride(op.k), b.tokensAddress, slot, b.faultAddress);
      return { kind: op.kind, grain: 1, nItems: nRows(op.k), run };
    }
    case "attention": {
      const exp = b.kernels.shared("exp", emitExp);
      const key = `attention.${op.nHead}.${op.kv.nHeadKv}.${op.kv.headDim}.${op.scale}`;
      const kernel = b.kernels.kernel(key, (m, name) => emitAttention(m, name, op, exp));
      const slot = b.slotOffset(op.kv.index);
      const run: Dispatch["run"] = (begin, end) =>
        kernel.call(begin, end, b.address(op.q), b.address(op.out), b.stride(op.out), b.tokensAddress, slot, b.scoresAddress);
      return { kind: op.kind, grain: 1, nItems: (step) => step.nTokens * op.kv.nHeadKv, run };
    }
    case "selectOutputs": {
      const stride = b.stride(op.out);
      const run: Dispatch["run"] = (begin, end, step) => {
        for (let i = begin; i < end; i++)
          b.copy(b.address(op.x) + step.outputs[i]! * stride, b.address(op.out) + i * stride, stride);
      };
      return { kind: op.kind, grain: 1, nItems: nRows(op.out), run };
    }
    default:
      throw new Error(op satisfies never);
  }
}

function tablesFor(form: RowForm, b: Binding) {
  return form === "table-row" ? b.kernels.shared("ternary_tables", emitTernaryTables) : null;
}

/** Bytes of the values of an f32 row, rounded up to whole vectors. */
function paddedBytes(x: Tensor): number {
  return 16 * Math.ceil(x.nCols / 4);
}

/** Elementwise work: items are the vectors of all rows, which lie back to back. */
function vectors(
  kind: Op["kind"],
  kernel: Kernel,
  a: Tensor,
  other: Tensor,
  out: Tensor,
  b: Binding,
  rows: (step: StepView) => number,
): Dispatch {
  const perRow = b.stride(out) / 16;
  return {
    kind,
    grain: 64,
    nItems: (step) => rows(step) * perRow,
    run: (begin, end) => kernel.call(begin, end, b.address(a), b.address(other), b.address(out)),
  };
}
