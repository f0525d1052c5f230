/** The passes on Programs: what each puts in place of what, and what it must leave alone. */
import { describe, expect, it } from "vitest";
import type { FormatName } from "../quant/geometry.ts";
import { fuse } from "./fuse.ts";
import { Graph } from "./graph.ts";
import { lowerActivations } from "./lower-activations.ts";
import { programWeights, useCounts } from "./program.ts";
import { serveHead } from "./serve-head.ts";
import type { Weight } from "./tensor.ts";

const weight = (name: string, nRows: number, format: FormatName = "F32", nCols = 128): Weight => ({ name, format, nRows, nCols });
const kinds = (program: { ops: readonly { kind: string }[] }) => program.ops.map(({ kind }) => kind);

/** head(norm(x)) with a head of `format`, and gate · up in between. */
function sample(format: FormatName, headRows = 100) {
  const g = new Graph();
  const x = g.embed(weight("embd", 100));
  const h = g.label("h", g.rmsNorm(x, weight("norm", 1), 1e-5));
  const gate = g.label("gate", g.activation("relu2", g.matmul(h, weight("gate", 128, format))));
  const product = g.mul(gate, g.matmul(h, weight("up", 128, format)));
  const out = g.rmsNorm(g.selectOutputs(g.add(x, product)), weight("out_norm", 1), 1e-5);
  return g.finish(g.matmul(out, weight("head", headRows, format)));
}

describe("lowerActivations", () => {
  it("rounds a tensor once per rounding, in front of its first matmul", () => {
    const program = lowerActivations(sample("I2_S"));
    expect(kinds(program)).toEqual([
      "embed",
      "rmsNorm",
      "quantize",
      "matmul",
      "activation",
      "matmul",
      "mul",
      "add",
      "selectOutputs",
      "rmsNorm",
      "quantize",
      "matmul",
    ]);
    for (const op of program.ops) if (op.kind === "matmul") expect(op.x.layout).toBe("int8-row");
    const ids = program.ops.map((op) => (op.kind === "kvWrite" ? -1 : op.out.id));
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("leaves float weights alone, and gives each rounding its own tensor", () => {
    expect(kinds(lowerActivations(sample("F16")))).toEqual(kinds(sample("F16")));
    const g = new Graph();
    const x = g.embed(weight("embd", 9));
    const sum = g.add(g.matmul(x, weight("a", 4, "I2_S")), g.matmul(x, weight("b", 4, "Q8_0")));
    const program = lowerActivations(g.finish(g.selectOutputs(g.add(sum, g.matmul(x, weight("c", 4, "F32"))))));
    const layouts = program.ops.flatMap((op) => (op.kind === "matmul" ? [op.x.layout] : []));
    expect(layouts).toEqual(["int8-row", "int8-block32", "f32"]);
  });

  it("a format without kernels is refused by the tensor's name", () => {
    expect(() => lowerActivations(sample("Q4_K"))).toThrow(/gate/);
    expect(() => lowerActivations(sample("Q4_K"))).toThrow(expect.objectContaining({ code: "quant-unsupported" }));
  });
});

describe("fuse", () => {
  it("joins norm and rounding, activation and product", () => {
    const program = fuse(lowerActivations(sample("I2_S")));
    expect(kinds(program)).toEqual([
      "embed",
      "rmsNormQuantize",
      "matmul",
      "matmul",
      "gatedActivation",
      "add",
      "selectOutputs",
      "rmsNormQuantize",
      "matmul",
    ]);
  });

  it("does not join what is kept, or what somebody else reads too", () => {
    const lowered = lowerActivations(sample("I2_S"));
    expect(kinds(fuse(lowered, ["h"]))).toContain("rmsNorm");
    expect(kinds(fuse(lowered, ["gate"]))).toContain("activation");
    expect(kinds(fuse(lowered, ["h", "gate"])).filter((kind) => kind === "rmsNormQuantize")).toHaveLength(1);
    // labels that are not kept do not hinder
    expect(kinds(fuse(lowered, ["other"]))).toEqual(kinds(fuse(lowered)));
    const g = new Graph();
    const x = g.embed(weight("embd", 9));
    const h = g.rmsNorm(x, weight("norm", 1), 1e-5);
    const squared = g.activation("relu2", h);
    const program = g.finish(g.selectOutputs(g.add(g.mul(squared, squared), g.matmul(h, weight("w", 128, "I2_S")))));
    expect(kinds(fuse(lowerActivations(program)))).toEqual(kinds(lowerActivations(program)));
  });

  it("an activation on the right of a product stays: the kernel's order is gate, then up", () => {
    const g = new Graph();
    const x = g.embed(weight("embd", 9));
    const program = g.finish(g.selectOutputs(g.mul(x, g.activation("silu", x))));
    expect(kinds(fuse(program))).toEqual(kinds(program));
  });
});

describe("serveHead", () => {
  const headOf = (program: ReturnType<typeof sample>) => {
    const op = program.ops.at(-1)!;
    return op.kind === "matmul" ? op.weight : null;
  };
  /** 64 MiB of F16 rows of 128. */
  const LIMIT = (64 * 2 ** 20) / 256;

  it("auto: a float head above 64 MiB is computed in Q8_0, one at the limit as it is", () => {
    expect(headOf(serveHead(sample("F16", LIMIT + 1), "auto"))).toMatchObject({ format: "Q8_0", fileFormat: "F16" });
    expect(headOf(serveHead(sample("F16", LIMIT), "auto"))).toMatchObject({ format: "F16" });
    expect(headOf(serveHead(sample("F32", LIMIT / 2 + 1), "auto"))).toMatchObject({ format: "Q8_0", fileFormat: "F32" });
    expect(headOf(serveHead(sample("I2_S", 8 * LIMIT), "auto"))).toMatchObject({ format: "I2_S" });
  });

  it("file and q8_0 decide by themselves; other matrices are not touched", () => {
    expect(headOf(serveHead(sample("F16", 4 * LIMIT), "file"))).toMatchObject({ format: "F16" });
    const program = serveHead(sample("F16"), "q8_0");
    expect(headOf(program)).toMatchObject({ format: "Q8_0" });
    const others = program.ops.flatMap((op) => (op.kind === "matmul" && op.weight.name !== "head" ? [op.weight.format] : []));
    expect(others).toEqual(["F16", "F16"]);
  });

  it("a tied matrix is read in both formats", () => {
    const g = new Graph();
    const tied = weight("token_embd", 100, "F16");
    const program = serveHead(g.finish(g.matmul(g.selectOutputs(g.embed(tied)), tied)), "q8_0");
    expect(programWeights(program).map(({ format }) => format)).toEqual(["F16", "Q8_0"]);
  });
});

describe("useCounts", () => {
  it("counts readers, the logits and kept labels", () => {
    const program = sample("F16");
    const h = program.labels.get("h")!;
    expect(useCounts(program).get(h.id)).toBe(2);
    expect(useCounts(program, ["h"]).get(h.id)).toBe(3);
    expect(useCounts(program).get(program.logits.id)).toBe(1);
  });
});
