import { expect, test } from "vitest";
import { inspect, LmError, type LoadOptions, loadModel, type ModelSource } from "../../src/index.ts";
import { errorOf, MODEL_URL, modelBytes } from "./stories.ts";

const text = "This is a shopping list: bread, milk, a language model.\n";

const cases: readonly (readonly [string, () => ModelSource | Promise<ModelSource>, string, string, LoadOptions?])[] = [
  ["an address without a file", () => "/answers/missing.gguf", "NetworkError", "http-404"],
  ["an address that gives a page", () => "/answers/page.gguf", "NetworkError", "http-html"],
  ["a server that is not there", () => "http://127.0.0.1:1/model.gguf", "NetworkError", "network-failed"],
  [
    "the caller's fetch that fails",
    () => MODEL_URL,
    "NetworkError",
    "network-failed",
    { fetch: () => Promise.reject(new TypeError("no network")) },
  ],
  ["an object URL that was revoked", revokedUrl, "NetworkError", "network-failed"],
  ["a text file", () => new File([text.repeat(20)], "list.txt"), "GgufError", "gguf-magic"],
  ["an empty file", () => new File([], "empty.gguf"), "GgufError", "gguf-magic"],
  ["a file cut off", async () => new Blob([(await modelBytes()).slice(0, 900_000)]), "GgufError", "gguf-tensor-offset"],
  ["an address of a hub", () => "hf:owner/model", "UnsupportedError", "source-scheme"],
  ["an unknown scheme", () => "ftp://127.0.0.1/model.gguf", "ConfigError", "bad-url"],
  ["something else", () => 42 as unknown as string, "ConfigError", "bad-source"],
  ["an option that is not allowed", () => MODEL_URL, "ConfigError", "invalid-option", { nCtx: -1 }],
  ["more memory than there is", () => MODEL_URL, "BackendError", "memory-too-large", { nCtx: 2 ** 30 }],
  ["a worker that is not there", () => MODEL_URL, "BackendError", "worker-failed", { workerUrl: "/answers/missing.gguf" }],
  ["a worker of another origin", () => MODEL_URL, "BackendError", "worker-failed", { workerUrl: "http://127.0.0.1:1/worker.js" }],
];

test.each(cases)("%s is a typed error", async (_name, source, name, code, options = {}) => {
  const error = await errorOf(loadModel(await source(), options));
  expect(error).toMatchObject({ name, code });
  expect(error).toBeInstanceOf(LmError);
});

test("a text file is refused with the place, and read no further", async () => {
  expect(await errorOf(loadModel(new File([text], "list.txt")))).toMatchObject({ byteOffset: 0, hint: expect.any(String) });
});

test("a file can be looked at without loading it", async () => {
  const report = await inspect(new File([await modelBytes()], "stories.gguf"));
  expect(report).toMatchObject({ architecture: "bitnet-b1.58", quantization: "I2_S", fileBytes: 2_031_520 });
  expect(report.plan?.weightsBytes).toBeGreaterThan(0);
});

function revokedUrl(): string {
  const url = URL.createObjectURL(new Blob(["x"]));
  URL.revokeObjectURL(url);
  return url;
}
