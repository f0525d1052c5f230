import { describe, expect, test } from "vitest";
import { type LoadOptions, loadModel, type ModelSource } from "../../src/index.ts";
import expected from "./expected.json";
import { CASES, observe, PROMPT } from "./expected.ts";
import { MODEL_URL, modelBytes } from "./stories.ts";

const ways: readonly (readonly [string, () => Promise<ModelSource>, LoadOptions?])[] = [
  ["a URL", async () => MODEL_URL],
  ["a URL object, plain SIMD", async () => new URL(MODEL_URL), { simd: "plain" }],
  ["a path below the page", async () => new URL(MODEL_URL).pathname],
  ["a server that ignores ranges", async () => "/answers/whole.gguf"],
  ["the caller's own fetch", async () => MODEL_URL, { fetch: (...request: Parameters<typeof fetch>) => fetch(...request) }],
  ["a File", async () => new File([await modelBytes()], "stories.gguf")],
  ["a Blob, small context", async () => new Blob([await modelBytes()], { type: "application/octet-stream" }), { nCtx: 128 }],
  ["an object URL", async () => URL.createObjectURL(new Blob([await modelBytes()]))],
  ["bytes", modelBytes],
  ["bytes in the middle of a buffer, plain SIMD", async () => inTheMiddle(await modelBytes()), { simd: "plain" }],
];

test.each(ways)("the bits of Node from %s", async (_name, source, options = {}) => {
  const model = await loadModel(await source(), options);
  try {
    expect(await observe(model)).toEqual(expected);
  } finally {
    await model.dispose();
  }
});

test("this Chromium runs the relaxed kernels, so that both variants are compared", async () => {
  const [auto, plain] = await Promise.all([loadModel(MODEL_URL), loadModel(MODEL_URL, { simd: "plain" })]);
  expect(auto.info.backendDescription).toContain("relaxed SIMD");
  expect(plain.info.backendDescription).toContain("plain SIMD");
  await Promise.all([auto.dispose(), plain.dispose()]);
});

describe("from inside a worker of the page", () => {
  test("a worker loads a model of its own and gives the tokens of Node", async () => {
    const worker = new Worker(new URL("./generate.worker.ts", import.meta.url), { type: "module" });
    const answer = await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => reject(new Error(event.message || "the worker did not start"));
      worker.postMessage({ url: MODEL_URL, prompt: PROMPT, options: CASES["sampled"] });
    });
    worker.terminate();
    expect(answer).toEqual({ tokens: expected.tokens.sampled });
  });
});

function inTheMiddle(bytes: Uint8Array): Uint8Array {
  const buffer = new Uint8Array(bytes.length + 37);
  buffer.set(bytes, 13);
  return buffer.subarray(13, 13 + bytes.length);
}
