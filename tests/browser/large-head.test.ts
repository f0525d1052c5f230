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

/** A small model behind an F16 embedding of 67.4 MB; its values are bits of a counter, normals would take seconds. */
function largeHead(): Uint8Array<ArrayBuffer> {
  const shape = { nEmbd: N_EMBD, nLayer: 1, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 128 };
  const small = bitnetGguf({ ...shape, seed: 5, nVocab: 288 });
  const random = seededRandom(6);
  const rows = new Uint16Array(N_EMBD * N_VOCAB);
  // sign, mantissa, and an exponent of 2^-7 … 2^-4
  for (let i = 0; i < rows.length; i++) {
    const bits = random.u32();
    rows[i] = (bits & 0x8fff) | 0x2000;
  }
  const embedding = {
    name: "token_embd.weight",
    format: "F16",
    shape: [N_EMBD, N_VOCAB],
    data: new Uint8Array(rows.buffer),
  } as const;
  return writeGguf({
    ...small,
    metadata: small.metadata.map((entry) =>
      entry.key.endsWith(".vocab_size") ? { ...entry, type: "u32", value: N_VOCAB } : entry,
    ),
    tensors: small.tensors.map((tensor) => (tensor.name === "token_embd.weight" ? embedding : tensor)),
  }) as Uint8Array<ArrayBuffer>;
}
