/** The scratch arena: no two tensors that are needed at the same time share a byte. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Graph } from "./graph.ts";
import { opInputs, opOutput } from "./ops.ts";
import type { Program } from "./program.ts";
import { planScratch, type ScratchPlan } from "./scratch-plan.ts";
import type { Tensor, Weight } from "./tensor.ts";

const weight = (nCols: number, nRows = 1): Weight => ({ name: `w.${nCols}.${nRows}`, format: "F32", nRows, nCols });

/** A recorded Program of random ops: each choice picks an op and which earlier tensors it reads. */
function randomProgram(choices: readonly (readonly [number, number, number])[]): Program {
  const g = new Graph();
  const tensors: Tensor[] = [g.embed(weight(8)), g.embed(weight(12))];
  for (const [kind, left, right] of choices) {
    const a = tensors[left % tensors.length]!;
    const b = tensors.filter(({ nCols }) => nCols === a.nCols)[right % tensors.filter(({ nCols }) => nCols === a.nCols).length]!;
    switch (kind % 6) {
      case 0:
        tensors.push(g.add(a, b));
        break;
      case 1:
        tensors.push(g.mul(g.activation("relu2", a), b));
        break;
      case 2:
        tensors.push(g.matmul(a, weight(a.nCols, [4, 8, 12, 100][right % 4]!)));
        break;
      case 3:
        tensors.push(g.rmsNorm(a, weight(a.nCols), 1e-5));
        break;
      case 4:
        if (a.nCols % 4 === 0) tensors.push(g.attention(a, g.kvWrite(b, a, a.nCols / 4, 4), a.nCols / 4, 1));
        break;
      default:
        tensors.push(g.rope(a, 4, { style: "neox", frequencies: Float64Array.of(1) }));
    }
  }
  const last = tensors.at(-1)!;
  tensors.forEach((tensor, i) => g.label(`t${i}`, tensor));
  return g.finish(g.selectOutputs(last));
}

const sizeOf = (tensor: Tensor) => 4 * tensor.nCols * (tensor.rows === "nTokens" ? 7 : 3);

/** Runs the Program on owners of bytes: each op claims its result, and must find its inputs untouched. */
function violation(program: Program, plan: ScratchPlan, keep: readonly string[]): string | null {
  const owner = new Int32Array(plan.nBytes).fill(-1);
  const isIntact = (tensor: Tensor) => {
    const at = plan.offsets.get(tensor.id)!;
    return owner.subarray(at, at + sizeOf(tensor)).every((id) => id === tensor.id);
  };
  for (const op of program.ops) {
    const out = opOutput(op);
    if (out !== null) {
      const at = plan.offsets.get(out.id)!;
      if (at % 64 !== 0 || at + sizeOf(out) > plan.nBytes) return `tensor ${out.id} at ${at} of ${plan.nBytes}`;
      // a kernel writes its result while it still reads its inputs
      owner.fill(out.id, at, at + sizeOf(out));
    }
    for (const input of opInputs(op)) if (!isIntact(input)) return `${op.kind}: input ${input.id} was overwritten`;
  }
  if (!isIntact(program.logits)) return "the logits were overwritten";
  for (const name of keep) if (!isIntact(program.labels.get(name)!)) return `kept ${name} was overwritten`;
  return null;
}

describe("planScratch", () => {
  const choice = fc.tuple(fc.nat(), fc.nat(), fc.nat());

  it("no op finds its inputs overwritten, kept tensors and logits last to the end", () => {
    fc.assert(
      fc.property(fc.array(choice, { minLength: 1, maxLength: 40 }), fc.array(fc.nat(), { maxLength: 4 }), (choices, kept) => {
        const program = randomProgram(choices);
        const keep = [...new Set(kept.map((i) => `t${i % program.labels.size}`))];
        const plan = planScratch(program, { tensorBytes: sizeOf, alignment: 64, keep });
        expect(violation(program, plan, keep)).toBe(null);
      }),
      { numRuns: 300 },
    );
  });

  it("reuses places: a chain needs two, whatever its length", () => {
    const g = new Graph();
    let x = g.embed(weight(16));
    for (let i = 0; i < 20; i++) x = g.rmsNorm(x, weight(16), 1e-5);
    const plan = planScratch(g.finish(g.selectOutputs(x)), { tensorBytes: () => 100, alignment: 64 });
    expect(plan.nBytes).toBe(2 * 128);
  });

  it("a residual stays through its branch", () => {
    const g = new Graph();
    const x = g.embed(weight(16));
    let branch = x;
    for (let i = 0; i < 5; i++) branch = g.rmsNorm(branch, weight(16), 1e-5);
    const sum = g.add(x, branch);
    const plan = planScratch(g.finish(g.selectOutputs(sum)), { tensorBytes: () => 64, alignment: 64 });
    // x, and the branch's two places
    expect(plan.nBytes).toBe(3 * 64);
  });
});
