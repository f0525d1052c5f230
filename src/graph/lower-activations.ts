/**
 * Pass: puts an explicit `quantize` in front of every matmul whose weight format rounds activations, once per tensor and rounding, so
 * that q, k and v share one. Afterwards a matmul's input has the layout that its weight's format asks for.
 */
import { quantFormat } from "../quant/registry.ts";
import type { Op } from "./ops.ts";
import type { Program } from "./program.ts";
import type { Tensor } from "./tensor.ts";

export function lowerActivations(program: Program): Program {
  const rounded = new Map<string, Tensor>();
  const ops: Op[] = [];
  let nextId = 1 + Math.max(...program.ops.map((op) => (op.kind === "kvWrite" ? 0 : op.out.id)));
  for (const op of program.ops) {
    if (op.kind !== "matmul") {
      ops.push(op);
      continue;
    }
    const { activation } = quantFormat(op.weight.format, `tensor '${op.weight.name}'`);
    if (activation === "f32") {
      ops.push(op);
      continue;
    }
    const key = `${op.x.id}:${activation}`;
    let x = rounded.get(key);
    if (x === undefined) {
      x = { id: nextId++, rows: op.x.rows, nCols: op.x.nCols, layout: activation };
      rounded.set(key, x);
      ops.push({ kind: "quantize", out: x, x: op.x, activation });
    }
    ops.push({ ...op, x });
  }
  return { ...program, ops };
}
