import { describe, expect, inject, test } from "vitest";
import { type LoadOptions, loadModel, type ModelSource } from "../../src/index.ts";
import { CASES, observe, PROMPT } from "./observed.ts";
import { MODEL_URL, modelBytes } from "./stories.ts";

const expected = inject("nodeValues");

interface Way {
  readonly name: string;
  readonly source: () => ModelSource | Promise<ModelSource>;
  readonly options?: LoadOptions;
}

const ways: readonly Way[] = [
  { name: "a URL", source: () => MODEL_URL },
  { name: "a URL, two threads where the page is isolated", source: () => MODEL_URL, options: { threads: 2 } },
  { name: "a URL object, plain SIMD", source: () => new URL(MODEL_URL), options: { simd: "plain" } },
  { name: "a path below the page", source: () => new URL(MODEL_URL).pathname },
  { name: "a server that ignores ranges", source: () => "/answers/whole.gguf" },
  { name: "the caller's own fetch", source: () => MODEL_URL, options: { fetch: (...request) => fetch(...request) } },
  { name: "a File", source: async () => new File([await modelBytes()], "stories.gguf") },
  { name: "a Blob, small context", source: async () => new Blob([await modelBytes()]), options: { nCtx: 128 } },
  { name: "an object URL", source: async () => URL.createObjectURL(new Blob([await modelBytes()])) },
  { name: "bytes", source: modelBytes },
  {
    name: "bytes in the middle of a buffer, plain SIMD",
    source: async () => inTheMiddle(await modelBytes()),
    options: { simd: "plain" },
  },
];

test.each(ways)("the bits of Node from $name", async ({ source, options }) => {
  const model = await loadModel(await source(), options);
  try {
    expect(await observe(model)).toEqual(expected);
  } finally {
    await model.dispose();
  }
});

test.each(["relaxed", "relaxed-i16", "relaxed-swizzle", "plain"] as const)(
  "this Chromium runs %s kernels, with the bits of Node",
  async (simd) => {
    const model = await loadModel(MODEL_URL, { simd });
    try {
      expect(model.info.backendDescription).toContain(`${simd} SIMD (asked for)`);
      expect(await observe(model)).toEqual(expected);
    } finally {
      await model.dispose();
    }
  },
);

describe("from inside a worker of the page", () => {
  test("a worker loads a model of its own and gives the tokens of Node", async () => {
    const worker = new Worker(new URL("./generate.worker.ts", import.meta.url), { type: "module" });
    const answer = await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => reject(new Error(event.message || "the worker did not start"));
      worker.postMessage({ url: MODEL_URL, prompt: PROMPT, options: CASES.sampled });
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
