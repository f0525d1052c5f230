/**
 * Pass: serves a large float output matrix from a Q8_0 copy. At decode a head costs its bytes per token, and the tied F16 matrix of a
 * 128k vocabulary is larger than all ternary weights together. The copy serves the output only; input rows stay as the file has them.
 */
import type { FormatName } from "../quant/geometry.ts";
import { quantFormat } from "../quant/registry.ts";
import type { Program } from "./program.ts";
import type { Weight } from "./tensor.ts";

/** Heads up to this many bytes are served as they are. */
export const MAX_FLOAT_HEAD_BYTES = 64 * 2 ** 20;

const FLOATS: readonly FormatName[] = ["F32", "F16", "BF16"];

/** `auto`: Q8_0 above 64 MiB. `file`: as the file has it. `q8_0`: always Q8_0. */
export type HeadChoice = "auto" | "file" | "q8_0";

export function serveHead(program: Program, choice: HeadChoice): Program {
  const ops = program.ops.map((op) =>
    op.kind === "matmul" && op.out === program.logits && wantsCopy(op.weight, choice)
      ? { ...op, weight: { ...op.weight, format: "Q8_0" as const, fileFormat: op.weight.format } }
      : op,
  );
  return { ...program, ops };
}

function wantsCopy(head: Weight, choice: HeadChoice): boolean {
  if (choice === "file" || !FLOATS.includes(head.format) || head.nCols % quantFormat("Q8_0", "").blockElements !== 0)
    return false;
  return choice === "q8_0" || quantFormat(head.format, head.name).rowBytes(head.nCols) * head.nRows > MAX_FLOAT_HEAD_BYTES;
}
