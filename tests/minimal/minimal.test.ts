/**
 * The smallest that works: 16 tokens of context, one thread, no memory but the plan's. An earlier engine ran out of memory here; the
 * KV cache of 16 tokens is kilobytes. `npm run test:minimal`
 */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Inspection, inspect, loadModel, type Model } from "../../src/index.ts";
import { fixturePath, hasShared, sharedPath } from "../support/shared.ts";
import { makeBitnetModel } from "../support/synthetic.ts";

const N_CTX = 16;
// one SIMD variant: which is the fastest is timed anew in each worker, and sizes differ a little between variants
const OPTIONS = { simd: "plain", nCtx: N_CTX, threads: 1 } as const;
/** Pages are 64 tokens: 16 take one, and no context takes less. */
const PAGE_TOKENS = 64;

/** Layers × K and V × KV heads × head size × 2 bytes (f16) × tokens of whole pages. */
function kvBytes({ info }: Model, nCtx: number): number {
  return info.nLayer * 2 * info.nHeadKv * info.headDim * 2 * Math.ceil(nCtx / PAGE_TOKENS) * PAGE_TOKENS;
}

const MODELS: Readonly<Record<string, () => string | Uint8Array>> = {
  "a golden model with I2_S weights": () => fixturePath("golden/bitnet-b1.58-i2_s.gguf"),
  "a golden model with F16 weights": () => fixturePath("golden/bitnet-b1.58-f16.gguf"),
  "the stories model": () => fileURLToPath(new URL("../../models/stories-4m-i2_s.gguf", import.meta.url)),
  "a model of one layer, 0.1 MB": () => makeBitnetModel({ seed: 1, nLayer: 1 }),
  "a model of 12 layers": () => makeBitnetModel({ seed: 2, nLayer: 12 }),
  "a wide model": () => makeBitnetModel({ seed: 3, nEmbd: 512, nFf: 1024, nHead: 8 }),
};

describe.each(Object.entries(MODELS))("%s in 16 tokens", (_, makeSource) => {
  let model: Model;
  let inspection: Inspection;
  beforeAll(async () => {
    const source = makeSource();
    inspection = await inspect(source, OPTIONS);
    model = await loadModel(source, OPTIONS);
  });
  afterAll(() => model.dispose());

  const ids = (n: number) => Array.from({ length: n }, (_, i) => i + 40);

  test("is planned before it is loaded: the KV cache is what the formula says", () => {
    expect(model.plan).toMatchObject(inspection.plan!);
    expect(model.plan.kvBytes).toBe(kvBytes(model, N_CTX));
    expect(model.plan.nCtx).toBe(N_CTX);
    expect(model.plan.totalBytes).toBe(model.plan.weightsBytes + model.plan.kvBytes + model.plan.scratchBytes);
    expect(model.info).toMatchObject({ nCtx: N_CTX, threads: 1 });
  });

  test.each([1, 4, N_CTX - 1, N_CTX])("a prompt of %i tokens fills the context to the last token", async (n) => {
    const result = await model.generate(ids(n), { temperature: 0, ignoreEos: true }).result;
    expect(result).toMatchObject({ finishReason: "context", promptTokens: n });
    // the last token needs no place of its own: it is not fed back
    expect(result.tokens).toHaveLength(N_CTX + 1 - n);
  });

  test("a longer prompt is refused, and the model works on", async () => {
    const tooLong = model.generate(ids(N_CTX + 1)).result;
    await expect(tooLong).rejects.toMatchObject({
      name: "ContextOverflowError",
      code: "context-overflow",
      data: { nPrompt: 17, nCtx: 16 },
    });
    expect((await model.generate(ids(1), { maxTokens: 2, temperature: 0, ignoreEos: true }).result).tokens).toHaveLength(2);
  });
});

test("scratch does not grow with the context", async () => {
  const source = fixturePath("golden/bitnet-b1.58-i2_s.gguf");
  const plan = async (nCtx: number) => (await inspect(source, { nCtx, threads: 1, simd: "plain" })).plan!;
  const [small, large] = [await plan(64), await plan(1024)];
  expect(large.kvBytes).toBe(16 * small.kvBytes);
  expect(large.weightsBytes).toBe(small.weightsBytes);
  expect(large.scratchBytes - small.scratchBytes).toBeLessThan(0.1 * large.kvBytes);
});

describe.skipIf(!hasShared)(
  "every model of the golden set that can be run (skipped: the full sets are not beside this checkout)",
  () => {
    test.each(["bitnet-i2_s", "bitnet-f16", "bitnet-b1.58-i2_s-untied", "bitnet-b1.58-i2_s-embd-q8_0"])("%s", async (name) => {
      const model = await loadModel(sharedPath(`golden/${name}.gguf`), OPTIONS);
      expect((await model.generate([40], { temperature: 0, ignoreEos: true }).result).finishReason).toBe("context");
      expect(model.plan.kvBytes).toBe(kvBytes(model, N_CTX));
      await model.dispose();
    });
  },
);
