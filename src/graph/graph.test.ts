/** Recording refuses wrong shapes at the line that is wrong. */
import { describe, expect, it } from "vitest";
import { Graph } from "./graph.ts";
import type { Weight } from "./tensor.ts";

const weight = (nCols: number, nRows = 1): Weight => ({ name: "w", format: "F32", nRows, nCols });

describe("Graph", () => {
  it.each<[string, (g: Graph) => unknown]>([
    ["rmsNorm", (g) => g.rmsNorm(g.embed(weight(8, 5)), weight(9), 1e-5)],
    ["rmsNorm", (g) => g.rmsNorm(g.embed(weight(8, 5)), weight(8, 2), 1e-5)],
    ["matmul", (g) => g.matmul(g.embed(weight(8, 5)), weight(9, 4))],
    ["matmul", (g) => g.matmul(g.embed(weight(8, 5)), weight(8, 4), weight(2))],
    ["add", (g) => g.add(g.embed(weight(8, 5)), g.embed(weight(9, 5)))],
    ["mul", (g) => g.mul(g.selectOutputs(g.embed(weight(8, 5))), g.embed(weight(8, 5)))],
    ["rope", (g) => g.rope(g.embed(weight(8, 5)), 3, { style: "neox", frequencies: Float64Array.of(1) })],
    ["rope", (g) => g.rope(g.embed(weight(8, 5)), 2, { style: "pairs", frequencies: Float64Array.of(1, 2) })],
    ["kvWrite", (g) => g.kvWrite(g.embed(weight(8, 5)), g.embed(weight(8, 5)), 3, 4)],
    ["kvWrite", (g) => g.kvWrite(g.embed(weight(8, 5)), g.embed(weight(4, 5)), 2, 4)],
    [
      "attention",
      (g) => {
        const x = g.embed(weight(12, 5));
        return g.attention(x, g.kvWrite(g.embed(weight(8, 5)), g.embed(weight(8, 5)), 2, 4), 3, 1);
      },
    ],
    ["selectOutputs", (g) => g.selectOutputs(g.selectOutputs(g.embed(weight(8, 5))))],
    ["finish", (g) => g.finish(g.embed(weight(8, 5)))],
  ])("%s", (op, record) => {
    expect(() => record(new Graph())).toThrow(new RegExp(`^graph: ${op}: `));
  });

  it("records ops in order, numbers tensors and cache layers, keeps labels", () => {
    const g = new Graph();
    const x = g.label("x", g.embed(weight(8, 5)));
    const first = g.kvWrite(x, x, 2, 4);
    const second = g.kvWrite(x, x, 1, 8);
    const program = g.finish(g.selectOutputs(g.attention(x, second, 1, 0.5)));
    expect(program.ops.map(({ kind }) => kind)).toEqual(["embed", "kvWrite", "kvWrite", "attention", "selectOutputs"]);
    expect([first.index, second.index]).toEqual([0, 1]);
    expect(program.labels.get("x")).toBe(x);
    expect(program.logits).toMatchObject({ rows: "nOutputs", nCols: 8 });
  });
});
