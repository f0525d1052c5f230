/**
 * Every op on the WASM backend, all variants, against the reference: odd sizes, one row, one token, block edges, tails, values that
 * hurt. Inputs are fresh in every run; a failure prints fast-check's seed and path. That variants give the same bits is asked always.
 */
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { OP_TOLERANCE, type WeightReader } from "../../src/backends/backend.ts";
import { activate } from "../../src/backends/reference/activation.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import type { ActivationFn, RopeStyle } from "../../src/graph/ops.ts";
import type { Program } from "../../src/graph/program.ts";
import type { Tensor } from "../../src/graph/tensor.ts";
import type { FormatName } from "../../src/quant/geometry.ts";
import {
  activationRow,
  concat,
  firstDifference,
  labelAll,
  ProgramUnderTest,
  RELAXED,
  ROW_KINDS,
  runAll,
  WASM_VARIANTS,
} from "../support/synthetic-programs.ts";
import { seededRandom } from "../support/synthetic-random.ts";

const worst = new Map<string, number>();
afterAll(() => {
  for (const [op, nmse] of worst) console.log(`worst NMSE against the reference, ${op}: ${nmse.toExponential(1)}`);
});

/**
 * Σ(x − ref)² / Σ power. `power` is the expected square of each result; the default is the reference itself. Sums that cancel need
 * another one: the error of a sum is relative to its terms, and a single result may be near 0 by chance.
 */
function relativeError(x: Float32Array, ref: Float32Array, power?: Float64Array): number {
  let error = 0;
  let total = 0;
  for (let i = 0; i < ref.length; i++) {
    error += (x[i]! - ref[i]!) ** 2;
    total += power?.[i] ?? ref[i]! ** 2;
  }
  return error === 0 ? 0 : error / total;
}

interface Check {
  readonly name: string;
  readonly tolerance: number;
  readonly power?: Float64Array;
}

/** Runs all variants in one step and token by token, one with every tensor kept, and the reference. */
async function check(program: Program, weights: WeightReader, nTokens: number, { name, tolerance, power }: Check): Promise<void> {
  const reference = await runAll(referenceBackend, program, weights, nTokens);
  const relaxed = await runAll(RELAXED, program, weights, nTokens);
  for (const [variant, backend] of WASM_VARIANTS) {
    if (backend !== RELAXED) {
      const whole = await runAll(backend, program, weights, nTokens);
      expect(firstDifference(whole, relaxed), `${name}: ${variant} and relaxed differ`).toBe(-1);
    }
    const single = await runAll(backend, program, weights, nTokens, { chunk: 1 });
    expect(firstDifference(single, relaxed), `${name}: ${variant}, one by one and at once differ`).toBe(-1);
  }
  const kept = labelAll(program);
  const unfused = await runAll(RELAXED, kept.program, weights, nTokens, { keep: kept.keep });
  expect(firstDifference(unfused, relaxed), `${name}: fused and unfused differ`).toBe(-1);
  if (tolerance === 0) {
    expect(firstDifference(relaxed, reference), `${name}: not the reference's bits`).toBe(-1);
    return;
  }
  const error = relativeError(relaxed, reference, power);
  worst.set(name, Math.max(worst.get(name) ?? 0, error));
  expect(error, name).toBeLessThanOrEqual(tolerance);
}

const seed = fc.nat({ max: 2 ** 31 });
const kind = fc.constantFrom(...ROW_KINDS);
const nTokens = fc.integer({ min: 1, max: 9 });
/** Row lengths without and with a tail behind the last vector. */
const anyColumns = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(15, 16, 17, 31, 33, 64, 100, 127, 130));

/** Rows of an input: the first of the wanted kind, the others of any. */
function rowsOf(n: number, nCols: number, first: (typeof ROW_KINDS)[number], s: number): Float32Array[] {
  return Array.from({ length: n }, (_, t) =>
    activationRow(t === 0 ? first : ROW_KINDS[(s + t) % ROW_KINDS.length]!, nCols, s + 31 * t),
  );
}

function property(numRuns: number, run: (s: number, k: (typeof ROW_KINDS)[number], n: number, nCols: number) => Promise<void>) {
  return fc.assert(fc.asyncProperty(seed, kind, nTokens, anyColumns, run), { numRuns });
}

describe("elementwise ops", () => {
  test("embed and selectOutputs copy the very bits", async () => {
    await property(60, async (s, k, n, nCols) => {
      const p = new ProgramUnderTest();
      await check(p.finish(p.input(rowsOf(n, nCols, k, s))), p.weights, n, { name: "embed", tolerance: OP_TOLERANCE.exact });
    });
  });

  test.each(["add", "mul"] as const)("%s rounds once, as the reference does", async (op) => {
    await property(60, async (s, k, n, nCols) => {
      const p = new ProgramUnderTest();
      const a = p.input(rowsOf(n, nCols, k, s));
      const b = p.input(rowsOf(n, nCols, "normal", s + 1));
      const same: Tensor = p.graph[op](a, a);
      const program = p.finish(p.graph[op](same, b));
      await check(program, p.weights, n, { name: op, tolerance: OP_TOLERANCE.exact });
    });
  });

  const activations: readonly [ActivationFn, number][] = [
    ["relu2", OP_TOLERANCE.exact],
    ["silu", OP_TOLERANCE.activation],
  ];
  test.each(activations)("%s, alone and with its product", async (fn, tolerance) => {
    await property(60, async (s, k, n, nCols) => {
      const p = new ProgramUnderTest();
      const rows = rowsOf(n, nCols, k, s);
      const alone = p.finish(p.graph.activation(fn, p.input(rows)));
      // far below 0 the reference is 0 and the kernel's silu 1e-38 of its input, which is as good: count the input a little
      const power = Float64Array.from(concat(rows), (x) => activate(fn, x) ** 2 + 1e-60 * x ** 2);
      await check(alone, p.weights, n, { name: fn, tolerance, power });
      const q = new ProgramUnderTest();
      const upRows = rowsOf(n, nCols, "normal", s + 1);
      const program = q.finish(q.graph.mul(q.graph.activation(fn, q.input(rows)), q.input(upRows)));
      const upPower = power.map((value, i) => value * concat(upRows)[i]! ** 2);
      await check(program, q.weights, n, { name: `${fn} · up`, tolerance, power: upPower });
    });
  });
});

describe("rmsNorm", () => {
  test("by itself", async () => {
    await property(60, async (s, k, n, nCols) => {
      const p = new ProgramUnderTest();
      const weight = p.weights.add("norm", "F32", seededRandom(s).normals(nCols), 1);
      const program = p.finish(p.graph.rmsNorm(p.input(rowsOf(n, nCols, k, s)), weight, 1e-5));
      await check(program, p.weights, n, { name: "rmsNorm", tolerance: OP_TOLERANCE.f32 });
    });
  });

  test("with a weight in F16 and an epsilon that matters", async () => {
    const p = new ProgramUnderTest();
    const weight = p.weights.add("norm", "F16", seededRandom(1).normals(33), 1);
    const program = p.finish(
      p.graph.rmsNorm(p.input([activationRow("tiny", 33, 5), activationRow("normal", 33, 6)]), weight, 10),
    );
    await check(program, p.weights, 2, { name: "rmsNorm, eps 10", tolerance: OP_TOLERANCE.f32 });
  });
});

/** Row counts that end in every position of a panel and of a tile of panels. */
const nRowsOf = fc.constantFrom(1, 2, 3, 4, 5, 8, 12, 16, 17, 32, 36, 70, 127, 200);

/** Expected square of every product, [nTokens, nRows]: Σ (w · x)². */
function productPower(rows: readonly Float32Array[], values: Float32Array, nRows: number): Float64Array {
  const nCols = values.length / nRows;
  const power = new Float64Array(rows.length * nRows);
  rows.forEach((x, t) => {
    for (let row = 0; row < nRows; row++) {
      for (let i = 0; i < nCols; i++) power[t * nRows + row]! += (values[row * nCols + i]! * x[i]!) ** 2;
    }
  });
  return power;
}

/** The budget is for a mean over many results; a single sum may lie in the tail of its rounding errors, 4 σ instead of 1. */
const sumTolerance = (tolerance: number, nResults: number) => tolerance * Math.max(1, 16 / nResults);

describe("matmul", () => {
  const cases: readonly [FormatName, number, fc.Arbitrary<number>][] = [
    // integer dots are exact, and so is their one product with the combined scale
    ["I2_S", OP_TOLERANCE.exact, fc.constantFrom(128, 256, 384, 896, 1024, 1152, 2176)],
    ["Q8_0", OP_TOLERANCE.f32, fc.constantFrom(32, 64, 96, 160, 512)],
    ["F16", OP_TOLERANCE.f32, anyColumns],
    ["F32", OP_TOLERANCE.f32, anyColumns],
  ];

  test.each(cases)("%s", async (format, tolerance, columns) => {
    await fc.assert(
      fc.asyncProperty(seed, kind, nTokens, columns, nRowsOf, async (s, k, n, nCols, nRows) => {
        const p = new ProgramUnderTest();
        const rows = rowsOf(n, nCols, k, s);
        const values = seededRandom(s + 2).normals(nRows * nCols, 1 / Math.sqrt(nCols));
        const program = p.finish(p.graph.matmul(p.input(rows), p.weights.add("w", format, values, nRows)));
        const power = productPower(rows, values, nRows);
        const bound = sumTolerance(tolerance, n * nRows);
        await check(program, p.weights, n, { name: `matmul ${format}`, tolerance: bound, power });
      }),
      { numRuns: 80 },
    );
  });

  test.each(["I2_S", "Q8_0", "F16"] as const)("%s with a scale [1] beside it", async (format) => {
    await fc.assert(
      fc.asyncProperty(seed, nTokens, nRowsOf, async (s, n, nRows) => {
        const p = new ProgramUnderTest();
        const rows = rowsOf(n, 128, "normal", s);
        const values = seededRandom(s + 2).normals(nRows * 128, 0.1);
        const w = p.weights.add("w", format, values, nRows);
        const factor = 0.25 + 3 * seededRandom(s + 9).uniform();
        const scale = p.weights.add("scale", "F32", Float32Array.of(factor), 1);
        const power = productPower(rows, values, nRows).map((value) => value * factor ** 2);
        const program = p.finish(p.graph.matmul(p.input(rows), w, scale));
        const tolerance = sumTolerance(OP_TOLERANCE.f32, n * nRows);
        await check(program, p.weights, n, { name: `matmul ${format} · scale`, tolerance, power });
      }),
      { numRuns: 80 },
    );
  });

  test("one rounding of activations serves several matrices, of several formats", async () => {
    const p = new ProgramUnderTest();
    const x = p.input(rowsOf(5, 128, "normal", 3));
    const w = (name: string, format: FormatName, s: number) =>
      p.weights.add(name, format, seededRandom(s).normals(7 * 128, 0.1), 7);
    const { graph } = p;
    const ternary = graph.add(graph.matmul(x, w("a", "I2_S", 1)), graph.matmul(x, w("b", "I2_S", 2)));
    const others = graph.add(graph.matmul(x, w("c", "Q8_0", 3)), graph.matmul(x, w("d", "F16", 4)));
    await check(p.finish(graph.add(ternary, others)), p.weights, 5, { name: "four matmuls of one input", tolerance: 1e-12 });
  });

  test.each(["I2_S", "Q8_0"] as const)("behind rmsNorm, where %s rounding fuses with it", async (format) => {
    await fc.assert(
      fc.asyncProperty(seed, nTokens, async (s, n) => {
        const p = new ProgramUnderTest();
        const rows = rowsOf(n, 256, "normal", s);
        const norm = p.weights.add("norm", "F32", seededRandom(s).normals(256), 1);
        const h = p.graph.rmsNorm(p.input(rows), norm, 1e-5);
        const values = seededRandom(s + 1).normals(9 * 256, 1 / 16);
        const program = p.finish(p.graph.matmul(h, p.weights.add("w", format, values, 9)));
        // the norm of the reference is a half ulp away: an activation next to a half may round to the other side, one in 127 units
        await check(program, p.weights, n, { name: `rmsNorm, matmul ${format}`, tolerance: 1e-4 });
      }),
      { numRuns: 80 },
    );
  });

  test("extreme codes and activations do not overflow a narrow sum", async () => {
    for (const [format, nCols] of [
      ["I2_S", 8192],
      ["Q8_0", 4096],
    ] as const) {
      // rows: codes all 2, all 0, alternating by column, by byte of a panel, by plane; the same again at the end of the panel
      const weightAt = [
        () => 1,
        () => -1,
        (i: number) => (i % 2 ? 1 : -1),
        (i: number) => ((i >> 2) % 2 ? 1 : -1),
        (i: number) => ((i >> 5) % 2 ? -1 : 1),
      ];
      const nRows = 35;
      const values = new Float32Array(nRows * nCols).map((_, i) => weightAt[Math.floor(i / nCols) % 5]!(i % nCols));
      // activations are rounded to 127 or −127: every sign, and the signs of each row of weights, which sums nothing but maxima
      const rows = [1, -1].flatMap((sign) => weightAt.map((at) => Float32Array.from({ length: nCols }, (_, i) => sign * at(i))));
      const p = new ProgramUnderTest();
      const program = p.finish(p.graph.matmul(p.input(rows), p.weights.add("w", format, values, nRows)));
      const tolerance = format === "I2_S" ? OP_TOLERANCE.exact : OP_TOLERANCE.f32;
      await check(program, p.weights, rows.length, { name: `${format} at its limits`, tolerance });
    }
  });

  test("a matrix of more than one piece of 16 MiB, whose last piece ends inside a panel", async () => {
    const [nRows, nCols] = [1031, 4096];
    const p = new ProgramUnderTest();
    const row = activationRow("normal", nCols, 11);
    const values = new Float32Array(nRows * nCols);
    for (let i = 0; i < values.length; i++) values[i] = ((Math.imul(i, 0x9e3779b1) >> 8) / 2 ** 23) * 0.015;
    const program = p.finish(p.graph.matmul(p.input([row]), p.weights.add("w", "F32", values, nRows)));
    // 4,096 additions in one f32 sum: n/6 · 2⁻⁴⁸ of the terms' power is expected, 2.4e-12
    const power = productPower([row], values, nRows);
    const reference = await runAll(referenceBackend, program, p.weights, 1);
    const error = relativeError(await runAll(RELAXED, program, p.weights, 1), reference, power);
    worst.set("matmul F32, 4096 columns", error);
    expect(error).toBeLessThanOrEqual(1e-11);
  });
});

describe("rope", () => {
  const shapes = fc.record({
    style: fc.constantFrom<RopeStyle>("neox", "pairs"),
    nPairs: fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 16),
    rest: fc.constantFrom(0, 1, 2, 6),
    nHeads: fc.constantFrom(1, 2, 5),
  });

  test("neox and pairs, odd numbers of pairs, part of the head", async () => {
    await fc.assert(
      fc.asyncProperty(seed, shapes, nTokens, async (s, { style, nPairs, rest, nHeads }, n) => {
        const headDim = 2 * nPairs + rest;
        const p = new ProgramUnderTest();
        const frequencies = Float64Array.from({ length: nPairs }, (_, i) => 10_000 ** (-i / nPairs));
        const x = p.input(rowsOf(n, headDim * nHeads, "normal", s));
        const program = p.finish(p.graph.rope(x, headDim, { style, frequencies }));
        const power = concat(rowsOf(n, headDim * nHeads, "normal", s));
        const meanSquare = power.reduce((sum, value) => sum + value ** 2, 0) / power.length;
        await check(program, p.weights, n, {
          name: `rope ${style}`,
          tolerance: OP_TOLERANCE.f32,
          power: new Float64Array(power.length).fill(meanSquare),
        });
      }),
      { numRuns: 80 },
    );
  });

  test("two rotary embeddings of one width but other frequencies or styles do not share a table or a kernel", async () => {
    const p = new ProgramUnderTest();
    const x = p.input(rowsOf(5, 16, "normal", 8));
    const rotate = (style: RopeStyle, base: number) =>
      p.graph.rope(x, 8, { style, frequencies: Float64Array.from({ length: 4 }, (_, i) => base ** (-i / 4)) });
    const both = p.graph.add(p.graph.add(rotate("neox", 100), rotate("neox", 5e5)), rotate("pairs", 5e5));
    await check(p.finish(both), p.weights, 5, { name: "three rotations", tolerance: OP_TOLERANCE.f32 });
  });

  test("leaves zeros behind a row whose length is no multiple of four", async () => {
    // 6 values per row, 2 of padding: a norm over stale padding would be wrong
    const p = new ProgramUnderTest();
    const wide = p.input(rowsOf(3, 16, "huge", 4));
    const spoil = p.graph.mul(wide, wide);
    const narrow = p.weights.add("narrow", "F32", seededRandom(2).normals(6 * 16), 6);
    const x = p.graph.matmul(spoil, narrow);
    const rotated = p.graph.rope(x, 6, { style: "neox", frequencies: Float64Array.of(1, 0.5, 0.25) });
    const norm = p.weights.add("norm", "F32", seededRandom(3).normals(6), 1);
    const program = p.finish(p.graph.rmsNorm(rotated, norm, 1e-5));
    await check(program, p.weights, 3, { name: "rope, rmsNorm", tolerance: OP_TOLERANCE.f32 });
  });
});
