/** The contract of a loaded Program beside its numbers: the plan, what is refused, what is kept, what is freed. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { activationRow, PLAIN, ProgramUnderTest, RELAXED } from "../../../tests/support/synthetic-programs.ts";
import { seededRandom } from "../../../tests/support/synthetic-random.ts";
import { Graph } from "../../graph/graph.ts";
import type { Weight } from "../../graph/tensor.ts";
import type { QuantMatrix } from "../../quant/format.ts";
import { type Backend, kvBytesPerToken, type LoadOptions, type WeightReader } from "../backend.ts";
import { referenceBackend } from "../reference/backend.ts";
import { wasmBackend } from "./backend.ts";

const OPTIONS: LoadOptions = { nPages: 3, maxTokens: 4, maxOutputs: 2 };

/** embed → norm → kvWrite, attention → I2_S head, with two labels. */
function sample() {
  const p = new ProgramUnderTest();
  const x = p.input(Array.from({ length: 9 }, (_, i) => activationRow("normal", 128, i)));
  const h = p.graph.label("h", p.graph.rmsNorm(x, p.weights.add("norm", "F32", seededRandom(1).normals(128), 1), 1e-5));
  const mixed = p.graph.label("mixed", p.graph.attention(h, p.graph.kvWrite(h, h, 4, 32), 4, 0.2));
  const head = p.weights.add("head", "I2_S", seededRandom(2).normals(7 * 128), 7);
  const last = p.graph.label("last", p.graph.selectOutputs(mixed));
  return { program: p.graph.finish(p.graph.matmul(last, head)), weights: p.weights };
}

const step = (tokens: number[], outputs: number[], position = 0) => ({
  tokens,
  outputs,
  spans: [{ nTokens: tokens.length, position, pages: [1] }],
});

describe("plan", () => {
  it("KV bytes are pages times layers, the same on every backend, and no token allocates", () => {
    const { program } = sample();
    for (const backend of [referenceBackend, PLAIN]) {
      expect(backend.plan(program, OPTIONS, true).kvBytes, backend.name).toBe(3 * 64 * kvBytesPerToken(program.kvLayers));
    }
    const plan = PLAIN.plan(program, OPTIONS, true);
    // whole panels, of 4 rows or of 32 in plain SIMD: rows of 32 bytes for the head; 9 rows of the embedding, one norm
    expect(RELAXED.plan(program, OPTIONS, true).weightsBytes).toBe(8 * 32 + 9 * 512 + 512);
    expect(plan.weightsBytes).toBe(32 * 32 + 9 * 512 + 512);
    expect(plan.scratchBytes).toBeGreaterThan(4 * 128 * 4 * 2);
    expect(PLAIN.plan(program, { ...OPTIONS, maxTokens: 64 }, true).scratchBytes).toBeGreaterThan(plan.scratchBytes);
    expect(PLAIN.plan(program, { ...OPTIONS, maxTokens: 64 }, true).kvBytes).toBe(plan.kvBytes);
  });

  it("heads that are not whole vectors are refused before anything is loaded", async () => {
    const g = new Graph();
    const weight: Weight = { name: "e", format: "F32", nRows: 3, nCols: 6 };
    const x = g.embed(weight);
    const program = g.finish(g.selectOutputs(g.attention(x, g.kvWrite(x, x, 1, 6), 1, 1)));
    expect(() => PLAIN.plan(program, OPTIONS, true)).toThrow(
      expect.objectContaining({ code: "head-dim", name: "UnsupportedError" }),
    );
  });

  it("a plan beyond 4 GiB is refused by its bytes, not by the runtime", async () => {
    const { program, weights } = sample();
    const load = PLAIN.load(program, weights, { ...OPTIONS, nPages: 200_000 });
    await expect(load).rejects.toMatchObject({ code: "memory-too-large", name: "BackendError" });
  });
});

describe("run", () => {
  it("a step beyond the plan is refused and the next one still works", async () => {
    const { program, weights } = sample();
    const loaded = await RELAXED.load(program, weights, OPTIONS);
    const before = loaded.run(step([1, 2], [1])).slice();
    expect(() => loaded.run(step([1, 2, 3, 4, 5], [0]))).toThrow(/exceeds the plan/);
    expect(() => loaded.run(step([1, 2, 3], [0, 1, 2]))).toThrow(/exceeds the plan/);
    expect(() => loaded.run({ ...step([1, 2], [0]), spans: [{ nTokens: 1, position: 0, pages: [0] }] })).toThrow(/add up/);
    expect(loaded.run(step([1, 2], [1]))).toEqual(before);
    expect(loaded.run(step([1], []))).toHaveLength(0);
  });

  it("copyPage copies every layer's keys and values", async () => {
    const { program, weights } = sample();
    const loaded = await RELAXED.load(program, weights, OPTIONS);
    loaded.run(step([1, 2, 3], []));
    loaded.copyPage(1, 2);
    const expected = loaded.run(step([4], [0], 3)).slice();
    const onCopy = { tokens: [4], outputs: [0], spans: [{ nTokens: 1, position: 3, pages: [2] }] };
    expect(loaded.run(onCopy)).toEqual(expected);
    const onEmpty = { tokens: [4], outputs: [0], spans: [{ nTokens: 1, position: 3, pages: [0] }] };
    expect(loaded.run(onEmpty)).not.toEqual(expected);
  });

  const backends: readonly [string, Backend][] = [
    ["reference", referenceBackend],
    ["wasm", RELAXED],
  ];
  it.each(backends)("kept labels have the rows of the step, on %s", async (_, backend) => {
    const { program, weights } = sample();
    const loaded = await backend.load(program, weights, { ...OPTIONS, keep: ["h", "mixed", "last"] });
    loaded.run(step([1, 2, 3], [1]));
    expect(loaded.read("h")).toHaveLength(3 * 128);
    expect(loaded.read("mixed")).toHaveLength(3 * 128);
    expect(loaded.read("last")).toEqual(loaded.read("mixed").slice(128, 256));
  });

  it("labels that were not kept cannot be read", async () => {
    const { program, weights } = sample();
    const loaded = await RELAXED.load(program, weights, OPTIONS);
    expect(() => loaded.read("h")).toThrow(/not kept/);
  });
});

describe("dispose", () => {
  it("is idempotent, and everything afterwards is an error", async () => {
    const { program, weights } = sample();
    const loaded = await RELAXED.load(program, weights, OPTIONS);
    loaded.dispose();
    loaded.dispose();
    expect(() => loaded.run(step([1], [0]))).toThrow(expect.objectContaining({ code: "disposed" }));
    expect(() => loaded.copyPage(0, 1)).toThrow(expect.objectContaining({ code: "disposed" }));
  });

  it("frees the memory although somebody still holds the model", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const memories: WeakRef<WebAssembly.Memory>[] = [];
    const Original = WebAssembly.Memory;
    WebAssembly.Memory = class extends Original {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        super(descriptor);
        memories.push(new WeakRef(this));
      }
    };
    const { program, weights } = sample();
    const loaded = await RELAXED.load(program, weights, OPTIONS).finally(() => {
      WebAssembly.Memory = Original;
    });
    loaded.run(step([1], [0]));
    loaded.dispose();
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }
    expect(memories).toHaveLength(1);
    expect(memories[0]!.deref()).toBeUndefined();
    expect(loaded.description).toContain("wasm");
  });
});

describe("weights", () => {
  it("progress ends at the total and never passes it", async () => {
    const { program, weights } = sample();
    const seen: [number, number][] = [];
    await RELAXED.load(program, weights, { ...OPTIONS, onProgress: (loaded, total) => seen.push([loaded, total]) });
    const total = 7 * 32 + 9 * 512 + 512;
    expect(seen.at(-1)).toEqual([total, total]);
    expect(seen.every(([loaded], i) => loaded <= total && (i === 0 || loaded >= seen[i - 1]![0]))).toBe(true);
  });

  it.each([Number.NaN, Infinity])("a norm weight of %d is refused by its tensor's name", async (bad) => {
    const p = new ProgramUnderTest();
    const norm = p.weights.add("blk.7.norm", "F16", Float32Array.of(1, bad, 1), 1);
    const program = p.finish(p.graph.rmsNorm(p.input([Float32Array.of(1, 2, 3)]), norm, 1e-5));
    const load = RELAXED.load(program, p.weights, OPTIONS);
    await expect(load).rejects.toMatchObject({ code: "weight-not-finite", data: { tensor: "blk.7.norm" } });
  });

  it("I2_S code 3 is refused, wherever a matrix holds it", async () => {
    for (const at of [0, 5 * 32 - 1]) {
      const p = new ProgramUnderTest();
      const data = new Uint8Array(5 * 32).fill(0x55);
      data[at] = 0x57;
      const w = p.weights.addMatrix("w", "I2_S", { nRows: 5, nCols: 128, data, scale: 1 });
      const program = p.finish(p.graph.matmul(p.input([activationRow("normal", 128, 1)]), w));
      await expect(RELAXED.load(program, p.weights, OPTIONS)).rejects.toMatchObject({ code: "i2s-code" });
    }
  });

  it("a tied F16 table above 64 MiB: rows come from the source, the head is a Q8_0 copy, and both are right", async () => {
    const [nRows, nCols] = [66_000, 512];
    const row = (index: number) => seededRandom(index).normals(nCols, 0.1);
    const reads: number[] = [];
    const encoded = (begin: number, end: number): QuantMatrix => {
      const data = new Uint8Array(2 * (end - begin) * nCols);
      const halves = new Uint16Array(data.buffer);
      // finite halves by a cheap hash: filling 34 million normals would be the test's whole time
      for (let i = 0; i < halves.length; i++) {
        const hash = Math.imul(begin * nCols + i + 1, 0x9e3779b1) >>> 16;
        halves[i] = (hash & 0x83ff) | 0x2c00;
      }
      return { nRows: end - begin, nCols, data, scale: 1 };
    };
    const weights: WeightReader = {
      canReadSync: true,
      rows: async (weight, begin, end) => {
        if (weight.name === "norm") return { nRows: 1, nCols, data: new Uint8Array(row(0).map(() => 1).buffer), scale: 1 };
        return encoded(begin, end);
      },
      rowSync: (_, index) => {
        reads.push(index);
        return encoded(index, index + 1);
      },
    };
    const tied: Weight = { name: "token_embd.weight", format: "F16", nRows, nCols };
    const g = new Graph();
    const x = g.selectOutputs(g.embed(tied));
    const program = g.finish(g.matmul(g.rmsNorm(x, { name: "norm", format: "F32", nRows: 1, nCols }, 1e-5), tied));
    const plan = RELAXED.plan(program, OPTIONS, true);
    expect(plan.weightsBytes).toBe((nRows / 32) * 34 * nCols + 4 * nCols);
    let [before, last, total] = [0, 0, 0];
    const onProgress = (now: number, all: number) => {
      if (now > last) before = last;
      [last, total] = [now, all];
    };
    const loaded = await RELAXED.load(program, weights, { ...OPTIONS, onProgress });
    // what is not read does not count: the last piece is no jump
    expect(last).toBe(total);
    expect(last - before).toBeLessThanOrEqual(16 * 2 ** 20);
    const logits = loaded.run(step([65_999], [0]));
    expect(reads).toEqual([65_999]);
    const half = (index: number) => {
      const out = new Float32Array(nCols);
      const view = new DataView(encoded(index, index + 1).data.buffer);
      for (let i = 0; i < nCols; i++) {
        const bits = view.getUint16(2 * i, true);
        out[i] = (bits & 0x8000 ? -1 : 1) * 2 ** -4 * (1 + (bits & 0x3ff) / 1024);
      }
      return out;
    };
    const input = half(65_999);
    const rms = Math.sqrt(input.reduce((sum, value) => sum + value ** 2, 0) / nCols);
    let [error, power] = [0, 0];
    for (const index of [0, 1, 4095, 16_383, 16_384, 32_768, 65_535, 65_998, 65_999]) {
      const exact = half(index).reduce((sum, value, i) => sum + (value * input[i]!) / rms, 0);
      error += (logits[index]! - exact) ** 2;
      power += exact ** 2;
    }
    expect(error / power).toBeLessThan(1e-4);
    loaded.dispose();
  });

  it("head: file keeps the matrix as it is", () => {
    const tied: Weight = { name: "token_embd.weight", format: "F16", nRows: 66_000, nCols: 512 };
    const g = new Graph();
    const program = g.finish(g.matmul(g.selectOutputs(g.embed(tied)), tied));
    expect(wasmBackend({ head: "file" }).plan(program, OPTIONS, true).weightsBytes).toBe(66_000 * 512 * 2);
  });
});
