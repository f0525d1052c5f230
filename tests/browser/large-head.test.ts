/** A float embedding above 64 MiB: its rows come straight from a File, by FileReaderSync in the worker, and from memory elsewhere. */
import { expect, test } from "vitest";
import { writeGguf } from "../../src/gguf/writer.ts";
import { loadModel, type ModelSource } from "../../src/index.ts";
import { bitnetGguf } from "../support/synthetic.ts";
import { seededRandom } from "../support/synthetic-random.ts";

const N_EMBD = 4096;
const N_VOCAB = 8224;

test("rows read from a file are the rows kept in memory, bit for bit", async () => {
  const bytes = largeHead();
  const [fromFile, inMemory] = [await evaluate(new File([bytes], "large-head.gguf")), await evaluate(bytes)];
  expect(fromFile.warnings).toContainEqual(expect.stringContaining("read from the file, one per token"));
  expect(inMemory.warnings).not.toContainEqual(expect.stringContaining("read from the file"));
  expect(fromFile.weightsBytes).toBe(inMemory.weightsBytes - 2 * N_EMBD * N_VOCAB);
  expect(fromFile.logits.some((x) => x !== 0)).toBe(true);
  expect(fromFile.logits).toEqual(inMemory.logits);
});

async function evaluate(source: ModelSource) {
  const model = await loadModel(source);
  const session = model.session();
  const logits = await session.prefill([3, N_VOCAB - 1, 4000, 3]);
  const { warnings, plan } = model;
  await model.dispose();
  return { warnings, weightsBytes: plan.weightsBytes, logits };
}

/** A small model behind an F16 embedding of 67.4 MB. */
function largeHead(): Uint8Array<ArrayBuffer> {
  const shape = { nEmbd: N_EMBD, nLayer: 1, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 128 };
  const small = bitnetGguf({ ...shape, seed: 5, nVocab: 288 });
  const embedding = { name: "token_embd.weight", format: "F16", shape: [N_EMBD, N_VOCAB], data: embeddingData() } as const;
  return writeGguf({
    ...small,
    metadata: small.metadata.map((entry) =>
      entry.key.endsWith(".vocab_size") ? { ...entry, type: "u32", value: N_VOCAB } : entry,
    ),
    tensors: small.tensors.map((tensor) => (tensor.name === "token_embd.weight" ? embedding : tensor)),
  }) as Uint8Array<ArrayBuffer>;
}

/** F16 values of magnitude 2^-7 … 2^-4, repeating with a prime period, so that all rows differ; fresh ones would take seconds. */
function embeddingData(): Uint8Array {
  const random = seededRandom(6);
  const period = Uint16Array.from({ length: 65_521 }, () => (random.u32() & 0x8fff) | 0x2000);
  const values = new Uint16Array(N_EMBD * N_VOCAB);
  for (let begin = 0; begin < values.length; begin += period.length) values.set(period.subarray(0, values.length - begin), begin);
  return new Uint8Array(values.buffer);
}
