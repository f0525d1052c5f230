import { describe, expect, test } from "vitest";
import { makeBitnetModel } from "../../../tests/support/synthetic.ts";
import { memorySource } from "../../bytes/memory.ts";
import { readGguf } from "../../gguf/reader.ts";
import { fuse } from "../../graph/fuse.ts";
import { lowerActivations } from "../../graph/lower-activations.ts";
import { opInputs, opOutput } from "../../graph/ops.ts";
import { defineModel } from "../../model/model.ts";
import { decodeStages, orderByStage, prefillStages, type Stages, shareOf } from "./schedule.ts";

const N_LAYER = 3;
const file = await readGguf(memorySource(makeBitnetModel({ seed: 1, nLayer: N_LAYER })));
const recorded = fuse(lowerActivations(defineModel(file).program));
const program = orderByStage(recorded);

describe("stages", () => {
  test("decode of bitnet has five barriers per layer and one behind the head", () => {
    // a barrier stands behind every stage
    expect(decodeStages(program)).toHaveLength(5 * N_LAYER + 1);
  });

  test("ordering keeps every op, and each behind what it reads", () => {
    expect(new Set(program.ops)).toEqual(new Set(recorded.ops));
    const made = new Set<number>();
    const kv = new Set<number>();
    for (const op of program.ops) {
      for (const input of opInputs(op)) expect(made.has(input.id)).toBe(true);
      if (op.kind === "attention") expect(kv.has(op.kv.index)).toBe(true);
      if (op.kind === "kvWrite") kv.add(op.kv.index);
      const out = opOutput(op);
      if (out !== null) made.add(out.id);
    }
  });

  test.each([
    ["decode", decodeStages(program)],
    ["prefill", prefillStages(program)],
  ] as [string, Stages][])(
    "%s: every op once, in order; none reads in its stage what other threads write there",
    (mode, stages) => {
      expect(stages.flat()).toEqual(program.ops.map((_, i) => i));
      for (const stage of stages) {
        const partial = new Set<number>();
        const kv = new Set<number>();
        for (const i of stage) {
          const op = program.ops[i]!;
          for (const input of opInputs(op)) expect(partial.has(input.id), `op ${i} reads tensor ${input.id}`).toBe(false);
          if (op.kind === "attention") expect(kv.has(op.kv.index)).toBe(false);
          const isPartial = mode === "prefill" || shareOf(op) === "split";
          const out = opOutput(op);
          if (isPartial && out !== null) partial.add(out.id);
          if (mode === "prefill" && op.kind === "kvWrite") kv.add(op.kv.index);
        }
      }
    },
  );
});
