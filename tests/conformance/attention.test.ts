/**
 * Attention over the paged cache on the WASM backend, both variants, against the reference in f64: every way to share KV heads, contexts
 * around page borders, pages in any order, any chunking. And the f16 rounding of the cache, value by value.
 */
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { OP_TOLERANCE, type WeightReader } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { BackendError } from "../../src/errors.ts";
import type { Program } from "../../src/graph/program.ts";
import { f16ToF32, f32ToF16 } from "../../src/numerics/f16.ts";
import { nmse } from "../support/golden.ts";
import {
  activationRow,
  concat,
  firstDifference,
  PLAIN,
  ProgramUnderTest,
  RELAXED,
  runAll,
  shuffledPages,
} from "../support/synthetic-programs.ts";
import { seededRandom } from "../support/synthetic-random.ts";

let worst = 0;
afterAll(() => console.log(`worst NMSE against the reference, attention: ${worst.toExponential(1)}`));

interface Shape {
  readonly nTokens: number;
  readonly nHeadKv: number;
  /** Query heads per KV head. */
  readonly ratio: number;
  readonly headDim: number;
}

/** attention(q, kvWrite(k, v)) with q, k, v from embeddings; `gain` makes scores as peaky as those of a model. */
function attentionProgram(shape: Shape, seed: number, gain = 1.4): { program: Program; weights: WeightReader } {
  const { nTokens, nHeadKv, ratio, headDim } = shape;
  const p = new ProgramUnderTest();
  const rows = (width: number, s: number, std: number) => {
    const random = seededRandom(seed + s);
    return p.input(Array.from({ length: nTokens }, () => random.normals(width, std)));
  };
  const q = rows(nHeadKv * ratio * headDim, 1, gain);
  const kv = p.graph.kvWrite(rows(nHeadKv * headDim, 2, gain), rows(nHeadKv * headDim, 3, 1), nHeadKv, headDim);
  const program = p.finish(p.graph.attention(q, kv, nHeadKv * ratio, 1 / Math.sqrt(headDim)));
  return { program, weights: p.weights };
}

async function check(shape: Shape, seed: number, chunks: readonly number[]): Promise<void> {
  const { program, weights } = attentionProgram(shape, seed);
  const { nTokens } = shape;
  const pages = shuffledPages(nTokens, seed);
  const reference = await runAll(referenceBackend, program, weights, nTokens, { pages });
  const whole = await runAll(RELAXED, program, weights, nTokens, { pages });
  const error = nmse(whole, reference);
  worst = Math.max(worst, error);
  expect(error).toBeLessThanOrEqual(OP_TOLERANCE.attention);
  const plain = await runAll(PLAIN, program, weights, nTokens, { pages: shuffledPages(nTokens, seed + 1) });
  expect(firstDifference(plain, whole), "plain, other pages").toBe(-1);
  for (const chunk of chunks) {
    const cut = await runAll(RELAXED, program, weights, nTokens, { pages, chunk });
    expect(firstDifference(cut, whole), `chunks of ${chunk}`).toBe(-1);
  }
}

describe("attention", () => {
  const ratios = [1, 2, 4, 5];
  const contexts = [1, 2, 63, 64, 65, 130];
  for (const nTokens of contexts) {
    test(`${nTokens} tokens, 1, 2, 4 and 5 query heads per KV head`, async () => {
      const seed = Date.now() % 2 ** 31;
      for (const ratio of ratios) {
        for (const nHeadKv of [1, 3]) {
          await check({ nTokens, nHeadKv, ratio, headDim: 32 }, seed, [1, 32, 64]).catch((error: unknown) => {
            throw new Error(`seed ${seed}, ratio ${ratio}, ${nHeadKv} KV heads`, { cause: error });
          });
        }
      }
    });
  }

  test("heads of every number of vectors", async () => {
    const dims = fc.constantFrom(4, 8, 12, 16, 20, 24, 28, 36, 64, 80, 100, 128, 256);
    const anyShape = fc.record({
      nTokens: fc.integer({ min: 1, max: 70 }),
      nHeadKv: fc.integer({ min: 1, max: 3 }),
      ratio: fc.constantFrom(...ratios),
      headDim: dims,
    });
    await fc.assert(
      fc.asyncProperty(fc.nat(), anyShape, fc.integer({ min: 1, max: 70 }), (s, shape, chunk) => check(shape, s, [chunk])),
      { numRuns: 30 },
    );
  });

  test("scores that are all equal, zeros, and one that drowns the others", async () => {
    const [nTokens, headDim] = [130, 16];
    for (const [qKind, kKind] of [
      ["zeros", "normal"],
      ["equal", "equal"],
      ["one spike", "normal"],
      ["normal", "minus zeros"],
      ["tiny", "tiny"],
    ] as const) {
      const p = new ProgramUnderTest();
      const rows = (kind: Parameters<typeof activationRow>[0], s: number) =>
        p.input(Array.from({ length: nTokens }, (_, t) => activationRow(kind, headDim, s + t)));
      const q = rows(qKind, 0);
      const kv = p.graph.kvWrite(rows(kKind, 1000), rows("normal", 2000), 1, headDim);
      const program = p.finish(p.graph.attention(q, kv, 1, 0.25));
      const reference = await runAll(referenceBackend, program, p.weights, nTokens);
      const relaxed = await runAll(RELAXED, program, p.weights, nTokens);
      // scores reach 1e4 · 3, where an f32 is 2⁻¹⁰ apart: e^score is good to 1e-3 at most, in a few rows with a near tie
      expect(nmse(relaxed, reference), `${qKind} · ${kKind}`).toBeLessThanOrEqual(qKind === "one spike" ? 1e-7 : 1e-11);
      expect(firstDifference(await runAll(PLAIN, program, p.weights, nTokens), relaxed)).toBe(-1);
    }
  });
});

/** What the cache makes of `values`: with a single key the softmax is exactly 1, and attention returns V as it was stored. */
async function throughCache(backend: typeof PLAIN, values: Float32Array): Promise<Float32Array> {
  const [nHeadKv, headDim] = [16, 256];
  const width = nHeadKv * headDim;
  const nRows = Math.ceil(values.length / width);
  const padded = new Float32Array(nRows * width);
  padded.set(values);
  const p = new ProgramUnderTest();
  const v = p.graph.embed(p.weights.add("v", "F32", padded, nRows));
  const zeros = p.graph.embed(p.weights.add("zeros", "F32", new Float32Array(padded.length), nRows));
  const program = p.finish(p.graph.attention(zeros, p.graph.kvWrite(zeros, v, nHeadKv, headDim), nHeadKv, 1));
  const loaded = await backend.load(program, p.weights, { nPages: 1, maxTokens: 1, maxOutputs: 1 });
  const rows: Float32Array[] = [];
  for (let token = 0; token < nRows; token++) {
    rows.push(loaded.run({ tokens: [token], spans: [{ nTokens: 1, position: 0, pages: [0] }], outputs: [0] }).slice());
  }
  loaded.dispose();
  return concat(rows).subarray(0, values.length);
}

/** Values that come out of the cache other than numerics/f16 says; −0 counts as 0, which adding it to 0 makes of it. */
function wrong(values: Float32Array, stored: Float32Array): string[] {
  return [...values]
    .map((value, i) => ({ value, got: stored[i]!, expected: f16ToF32(f32ToF16(value)) }))
    .filter(({ got, expected }) => !Object.is(got + 0, expected + 0))
    .map(({ value, got, expected }) => `${value} became ${got}, not ${expected}`);
}

describe("the cache's f16", () => {
  const backends = { reference: referenceBackend, plain: PLAIN, relaxed: RELAXED };
  for (const [name, backend] of Object.entries(backends)) {
    test(`every finite half comes back, ${name}`, async () => {
      const halves = Float32Array.from({ length: 65_536 }, (_, bits) => f16ToF32(bits)).filter(Number.isFinite);
      expect(halves.length).toBe(65_536 - 2 * 1024);
      expect(wrong(halves, await throughCache(backend, halves)).slice(0, 5)).toEqual([]);
    });

    test(`halfway and random f32 round to even, subnormal results included, ${name}`, async () => {
      const seed = Date.now() % 2 ** 31;
      const random = seededRandom(seed);
      const bits = new Uint32Array(40_000);
      // exponents from 2^-27, which rounds to 0, to 2^15
      for (let i = 0; i < bits.length; i++) {
        const exponent = 100 + random.below(43);
        const fraction = i % 4 === 0 ? (random.u32() & 0x7fe000) | 0x1000 : random.u32() & 0x7fffff;
        bits[i] = ((random.u32() & 1) << 31) | (exponent << 23) | fraction;
      }
      const values = new Float32Array(bits.buffer).filter((value) => Math.abs(value) < 65_520);
      expect(values.length).toBeGreaterThan(30_000);
      expect(wrong(values, await throughCache(backend, values)).slice(0, 5), `seed ${seed}`).toEqual([]);
    });

    test(`subnormal f32 and the neighbours of every border, ${name}`, async () => {
      const borders = [2 ** -25, 2 ** -24, 1.5 * 2 ** -24, 2 ** -14, 2 ** -14 - 2 ** -25, 65_504, 65_519.99, 1, 2 - 2 ** -11];
      const values = Float32Array.from(
        [0, -0, 1e-45, 1e-40, ...borders].flatMap((x) => [x, -x, x * (1 + 2 ** -23), x * (1 - 2 ** -24)]),
      );
      const fits = values.filter((value) => Math.abs(value) < 65_520);
      expect(wrong(fits, await throughCache(backend, fits))).toEqual([]);
    });

    test(`what does not fit never becomes a number in silence, ${name}`, async () => {
      for (const value of [65_520, -65_520, 1e5, -1e30, Infinity, -Infinity, NaN]) {
        const stored = await throughCache(backend, Float32Array.of(value)).catch((error: unknown) => error);
        // refusing the step is as good as an infinity that reaches the logits
        if (stored instanceof BackendError) continue;
        expect((stored as Float32Array)[0], `${value}`).not.toSatisfy(Number.isFinite);
      }
    });
  }
});
