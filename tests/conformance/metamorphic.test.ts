/**
 * What must not change the bits of whole models on the WASM backend: how a prompt is cut, which rows are asked for, forks, truncation,
 * company in a step, fusion, SIMD variant, where the tensors lie in the file. And how far whole models are from the reference.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Backend, kvBytesPerToken, PAGE_TOKENS } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import type { ByteSource } from "../../src/bytes/byte-source.ts";
import { memorySource } from "../../src/bytes/memory.ts";
import { readGguf } from "../../src/gguf/reader.ts";
import { writeGguf } from "../../src/gguf/writer.ts";
import { defineModel } from "../../src/model/model.ts";
import { FileWeightReader } from "../../src/model/weight-reader.ts";
import { atOnce, nmse, openOn } from "../support/golden.ts";
import { bitnetGguf, makeBitnetModel, type SyntheticOptions } from "../support/synthetic.ts";
import { firstDifference, labelAll, PLAIN, RELAXED, WASM_VARIANTS } from "../support/synthetic-programs.ts";
import { seededRandom } from "../support/synthetic-random.ts";

const VARIANTS: Readonly<Record<string, Backend>> = Object.fromEntries(WASM_VARIANTS);

/** One layer of ternary matrices with a float one and a Q8_0 one among them: every rounding of activations in one model. */
const MIXTURE: SyntheticOptions = {
  seed: 20,
  nVocab: 301,
  nCtx: 320,
  nHead: 4,
  nHeadKv: 1,
  formats: { attn_v: "F16", ffn_up: "Q8_0" },
  embdFormat: "Q8_0",
  outputFormat: "F16",
};
const N = 130;

function ids(n: number, seed: number, nVocab = MIXTURE.nVocab!): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: n }, () => random.below(nVocab));
}

function same(a: Float32Array, b: Float32Array, what: string): void {
  expect(firstDifference(a, b), `${what}: index of the first bit that differs`).toBe(-1);
}

type Opened = Awaited<ReturnType<typeof openOn>>;

for (const [variant, backend] of Object.entries(VARIANTS)) {
  describe(`wasm ${variant}`, () => {
    const file = makeBitnetModel(MIXTURE);
    const prompt = ids(N, 1);
    let model: Opened;
    /** [N, nVocab], row i = logits behind token i, token by token. */
    let rows: Float32Array;
    const row = (i: number) => rows.subarray(i * MIXTURE.nVocab!, (i + 1) * MIXTURE.nVocab!);

    beforeAll(async () => {
      model = await openOn(backend, file, 640, [], 64);
      rows = new Float32Array(N * MIXTURE.nVocab!);
      const session = model.session();
      for (const [i, id] of prompt.entries()) rows.set(session.decode(id), i * MIXTURE.nVocab!);
      session.dispose();
    });
    afterAll(() => model.loaded.dispose());

    test.each([1, 2, 31, 32, 33, 64, 65, 128])("prefill(%i) = as many times decode(1)", async (n) => {
      const session = model.session();
      same(await session.prefill(prompt.slice(0, n), "last", atOnce), row(n - 1), "prefill");
      same(session.decode(prompt[n]!), row(n), "the next decode");
      session.dispose();
    });

    test.each([1, 2, 3, 5, 16, 63, 65, 130])("steps of at most %i tokens", async (maxTokens) => {
      const other = await openOn(backend, file, 192, [], maxTokens);
      const session = other.session();
      same(await session.prefill(prompt, "all", atOnce), rows, "all rows");
      session.dispose();
      other.loaded.dispose();
    });

    test("random splits of a prompt", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 3, maxLength: 12 }), async (lengths) => {
          const session = model.session();
          let at = 0;
          for (const length of lengths) {
            const piece = prompt.slice(at, at + length);
            if (piece.length === 0) break;
            at += piece.length;
            same(await session.prefill(piece, "last", atOnce), row(at - 1), `behind ${at} tokens`);
          }
          session.dispose();
        }),
        { numRuns: 15 },
      );
    });

    test('"all" rows are the "last" of each prefix; "none" leaves the same cache', async () => {
      const session = model.session();
      same(await session.prefill(prompt, "all", atOnce), rows, "all");
      session.truncate(0);
      expect((await session.prefill(prompt.slice(0, 70), "none", atOnce)).length).toBe(0);
      same(session.decode(prompt[70]!), row(70), "behind none");
      session.dispose();
    });

    test("forks with other continuations are as fresh sequences", async () => {
      // 40 and 64: inside a page and at its end
      for (const at of [40, 64, 100]) {
        const session = model.session();
        await session.prefill(prompt.slice(0, at), "none", atOnce);
        const fork = session.fork();
        const grandchild = fork.fork();
        const [a, b, c] = [ids(30, 2), ids(30, 3), ids(3, 4)];
        // by turns, so that each goes on behind what the others wrote
        await session.prefill(a.slice(0, 10), "none", atOnce);
        await fork.prefill(b.slice(0, 20), "none", atOnce);
        const got = [
          await session.prefill(a.slice(10), "last", atOnce),
          await fork.prefill(b.slice(20), "last", atOnce),
          await grandchild.prefill(c, "last", atOnce),
        ];
        for (const s of [session, fork, grandchild]) s.dispose();
        for (const [i, rest] of [a, b, c].entries()) {
          const fresh = model.session();
          same(got[i]!, await fresh.prefill([...prompt.slice(0, at), ...rest], "last", atOnce), `branch ${i} at ${at}`);
          fresh.dispose();
        }
      }
    });

    test("truncate and other tokens are as a fresh sequence", async () => {
      for (const at of [0, 1, 63, 64, 65, 129]) {
        const session = model.session();
        await session.prefill(prompt, "none", atOnce);
        session.truncate(at);
        const rest = ids(20, at + 5);
        const got = await session.prefill(rest, "last", atOnce);
        session.dispose();
        const fresh = model.session();
        same(got, await fresh.prefill([...prompt.slice(0, at), ...rest], "last", atOnce), `truncated to ${at}`);
        fresh.dispose();
      }
    });

    test("sequences that share a step get what each gets alone", () => {
      const { loaded } = model;
      const nVocab = MIXTURE.nVocab!;
      const [a, b, c] = [ids(30, 6), ids(9, 7), ids(1, 8)];
      const alone = [a, b, c].map((tokens, i) =>
        loaded
          .run({ tokens, spans: [{ nTokens: tokens.length, position: 0, pages: [i] }], outputs: [tokens.length - 1] })
          .slice(0, nVocab),
      );
      const together = loaded.run({
        tokens: [...c, ...a, ...b],
        spans: [
          { nTokens: 1, position: 0, pages: [4] },
          { nTokens: 30, position: 0, pages: [2, 3] },
          { nTokens: 9, position: 0, pages: [1] },
        ],
        outputs: [0, 30, 39],
      });
      same(together.slice(0, nVocab), alone[2]!, "one token");
      same(together.slice(nVocab, 2 * nVocab), alone[0]!, "30 tokens");
      same(together.slice(2 * nVocab), alone[1]!, "9 tokens");
      // one decode of each at another position, in one step
      const next = [5, 6, 7];
      const single = [30, 9, 1].map((position, i) =>
        loaded.run({ tokens: [next[i]!], spans: [{ nTokens: 1, position, pages: [[2], [1], [4]][i]! }], outputs: [0] }).slice(),
      );
      const batch = loaded.run({
        tokens: next,
        spans: [30, 9, 1].map((position, i) => ({ nTokens: 1, position, pages: [[2], [1], [4]][i]! })),
        outputs: [0, 1, 2],
      });
      for (const i of [0, 1, 2]) same(batch.slice(i * nVocab, (i + 1) * nVocab), single[i]!, `decode of sequence ${i}`);
    });

    test("fused = unfused: every tensor kept", async () => {
      const source = memorySource(file);
      const gguf = await readGguf(source);
      const { program, keep } = labelAll(defineModel(gguf).program);
      const options = { nPages: 3, maxTokens: N, maxOutputs: N, keep };
      const loaded = await backend.load(program, new FileWeightReader(source, gguf), options);
      const outputs = prompt.map((_, i) => i);
      same(loaded.run({ tokens: prompt, spans: [{ nTokens: N, position: 0, pages: [2, 0, 1] }], outputs }), rows, "unfused");
      loaded.dispose();
    });
  });
}

describe("plain = relaxed", () => {
  test.each([
    { seed: 31 },
    { seed: 32, weightFormat: "F16" },
    { seed: 33, weightFormat: "Q8_0", embdFormat: "F32" },
    { seed: 34, architecture: "bitnet", hasScales: true },
  ] satisfies SyntheticOptions[])("%o", async (options) => {
    const file = makeBitnetModel(options);
    const logits: Float32Array[] = [];
    for (const backend of [PLAIN, RELAXED]) {
      const { loaded, session } = await openOn(backend, file, 128);
      logits.push(await session().prefill(ids(70, 3, 288), "all", atOnce));
      loaded.dispose();
    }
    same(logits[0]!, logits[1]!, "logits");
  });
});

describe("whole models against the reference", () => {
  const measured: string[] = [];
  afterAll(() => {
    for (const line of measured) console.log(line);
  });

  /**
   * Rounding flips: a value that lies within the two backends' f32 noise of a halfway point is rounded to different sides, and the
   * difference of one unit spreads. Measured with a dozen seeds of each shape below: rows without a flip 1e-14 to 1e-10; with flips of f16
   * K and V up to 6e-8; with flips of int8 activations up to 3e-4.
   * Bounds: a float model cannot be further off than if every K and V were rounded at random, (2⁻¹¹)² / 3 = 8e-8, times about 10 for
   * peaky scores. An int8 flip is one unit of 127, 6e-4 / nCols of a row's power for absmax = 3 σ, and moves a share of the later
   * values across halves: a quarter of what bitnet.cpp differs from itself (4e-3, the golden set's README).
   * Rows in front of a model's first flip are free of it: a tenth of all rows must be, which no systematic error can pass.
   */
  const BOUND = { float: 1e-6, int8: 1e-3, withoutFlip: 1e-10 };

  const shapes: readonly Omit<SyntheticOptions, "seed">[] = [
    { weightFormat: "F16" },
    { weightFormat: "F32", embdFormat: "F32", nHead: 5, nHeadKv: 1, headDim: 16, nEmbd: 72, nFf: 100, nVocab: 127 },
    { weightFormat: "F16", nHead: 2, nHeadKv: 2, headDim: 64, nLayer: 3, nVocab: 5, architecture: "bitnet" },
    { nLayer: 3, nHead: 8, nHeadKv: 2, nEmbd: 256, nFf: 384 },
    { architecture: "bitnet-25", nHeadKv: 4, outputFormat: "I2_S", hasScales: true },
    { weightFormat: "Q8_0", embdFormat: "Q8_0", nEmbd: 96, nHead: 3, nHeadKv: 1, nFf: 160, nVocab: 127 },
    { formats: { ffn_down: "F16", attn_output: "Q8_0", attn_q: "F32" }, architecture: "bitnet" },
  ];
  test.each(shapes.map((shape, i) => ({ shape, i })))("shape $i: $shape", async ({ shape, i }) => {
    const isFloat = shape.weightFormat?.startsWith("F") ?? false;
    const nVocab = shape.nVocab ?? 288;
    const errors: number[] = [];
    const rowErrors: number[] = [];
    for (const seed of [100, 200, 300, 400]) {
      const file = makeBitnetModel({ ...shape, seed: seed + i });
      const tokens = ids(66, seed, nVocab);
      const logits: Float32Array[] = [];
      for (const backend of [referenceBackend, RELAXED]) {
        const { loaded, session } = await openOn(backend, file, 128);
        logits.push(await session().prefill(tokens, "all", atOnce));
        loaded.dispose();
      }
      errors.push(nmse(logits[1]!, logits[0]!));
      const rows = logits.map((all) => tokens.map((_, t) => all.subarray(t * nVocab, (t + 1) * nVocab)));
      // position 0 is not rotated and attends to itself only
      for (let t = 1; t < tokens.length; t++) rowErrors.push(nmse(rows[1]![t]!, rows[0]![t]!));
    }
    const worst = Math.max(...errors);
    const tenth = rowErrors.sort((a, b) => a - b)[Math.floor(rowErrors.length / 10)]!;
    measured.push(
      `shape ${i} against the reference: worst NMSE ${worst.toExponential(1)}, a tenth of the rows below ${tenth.toExponential(1)}`,
    );
    expect(worst).toBeLessThanOrEqual(isFloat ? BOUND.float : BOUND.int8);
    expect(tenth).toBeLessThanOrEqual(BOUND.withoutFlip);
  });

  test("a head served from Q8_0 stays within NMSE 1e-4 of the file's", async () => {
    const file = makeBitnetModel({ seed: 5, weightFormat: "F16" });
    const logits: Float32Array[] = [];
    for (const head of ["file", "q8_0"] as const) {
      const { loaded, session } = await openOn(wasmBackend({ head }), file, 128);
      logits.push(await session().prefill(ids(20, 9, 288), "all", atOnce));
      loaded.dispose();
    }
    const error = nmse(logits[1]!, logits[0]!);
    measured.push(`NMSE of a Q8_0 head: ${error.toExponential(1)}`);
    expect(error).toBeLessThanOrEqual(1e-4);
    expect(error).toBeGreaterThan(0);
  });
});

describe("memory", () => {
  const STORIES = { nEmbd: 256, nLayer: 6, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 512, nVocab: 2048, nCtx: 4096 };

  async function planOf(file: Uint8Array, nPages: number) {
    const { program } = defineModel(await readGguf(memorySource(file)));
    return { program, plan: RELAXED.plan(program, { nPages, maxTokens: 64, maxOutputs: 1 }, true) };
  }

  test("16 tokens are one page, to the byte, and they fit", async () => {
    const file = makeBitnetModel({ ...STORIES, seed: 1 });
    const { plan, program } = await planOf(file, 1);
    expect(plan.kvBytes).toBe(6 * 2 * 2 * 64 * 2 * PAGE_TOKENS);
    expect(plan.kvBytes).toBe(PAGE_TOKENS * kvBytesPerToken(program.kvLayers));
    const { loaded, session } = await openOn(RELAXED, file, 16);
    const s = session();
    const logits = await s.prefill(ids(16, 1, 2048), "last", atOnce);
    expect(logits.every(Number.isFinite)).toBe(true);
    expect(() => s.decode(1)).toThrow(expect.objectContaining({ code: "context-overflow" }));
    loaded.dispose();
  });

  test("4,096 tokens fill their pages and no more", async () => {
    const file = makeBitnetModel({ ...STORIES, nLayer: 2, seed: 2 });
    const { plan } = await planOf(file, 64);
    expect(plan.kvBytes).toBe(2 * 2 * 2 * 64 * 2 * 4096);
    const { loaded, session } = await openOn(RELAXED, file, 4096, [], 256);
    const s = session();
    const tokens = ids(4096, 2, 2048);
    await s.prefill(tokens.slice(0, 4095), "none", atOnce);
    const last = s.decode(tokens[4095]!).slice();
    expect(last.every(Number.isFinite)).toBe(true);
    expect(s.nPast).toBe(4096);
    expect(() => s.decode(1)).toThrow(expect.objectContaining({ code: "context-overflow" }));
    // the end again, from the middle of a page
    s.truncate(4000);
    same(await s.prefill(tokens.slice(4000), "last", atOnce), last, "the end once more");
    loaded.dispose();
  });
});

describe("where the tensors lie in the file", () => {
  const options: SyntheticOptions = { seed: 9, formats: { attn_v: "F16", ffn_up: "Q8_0", ffn_gate: "F32" }, alignment: 8 };

  /** A source whose buffers begin `shift` bytes into larger ones. */
  function shiftedSource(bytes: Uint8Array, shift: number): ByteSource {
    const source = memorySource(bytes);
    const readSync = (offset: number, length: number) => {
      const larger = new Uint8Array(length + shift + 5).fill(0xa5);
      larger.set(source.readSync!(offset, length), shift);
      return larger.subarray(shift, shift + length);
    };
    return { ...source, readSync, read: async (offset, length) => readSync(offset, length) };
  }

  async function logitsOf(backend: Backend, source: ByteSource) {
    const file = await readGguf(source);
    const { program } = defineModel(file);
    const loaded = await backend.load(program, new FileWeightReader(source, file), { nPages: 1, maxTokens: 8, maxOutputs: 8 });
    const tokens = ids(8, 4, 288);
    const rows = loaded.run({ tokens, spans: [{ nTokens: 8, position: 0, pages: [0] }], outputs: [0, 7] }).slice();
    loaded.dispose();
    return { rows, offsets: new Set(file.tensors.map(({ byteOffset }) => byteOffset % 32)) };
  }

  test("every offset that alignment 8 allows, every shift of the buffers mod 32", async () => {
    const { metadata, ...rest } = bitnetGguf(options);
    const seen = new Set<number>();
    const expected = (await logitsOf(RELAXED, memorySource(writeGguf({ metadata, ...rest })))).rows;
    for (let shift = 0; shift < 32; shift++) {
      const padding = { key: "x", type: "string", value: "p".repeat(shift) } as const;
      const bytes = writeGguf({ metadata: [padding, ...metadata], ...rest });
      const { rows, offsets } = await logitsOf(shift % 2 === 0 ? RELAXED : PLAIN, shiftedSource(bytes, shift));
      for (const offset of offsets) seen.add(offset);
      same(rows, expected, `shift ${shift}`);
    }
    expect([...seen].sort((a, b) => a - b)).toEqual([0, 8, 16, 24]);
    const reference = (await logitsOf(referenceBackend, shiftedSource(writeGguf({ metadata, ...rest }), 3))).rows;
    expect(nmse(expected, reference)).toBeLessThanOrEqual(1e-3);
  });
});
