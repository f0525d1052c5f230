import { expect, test } from "vitest";
import { inspect, LmError, type LoadOptions, loadModel, type ModelSource } from "../../src/index.ts";
import { errorOf, MODEL_URL, modelBytes } from "./stories.ts";

const text = "This is a shopping list: bread, milk, a language model.\n";

interface Case {
  readonly name: string;
  readonly source: () => ModelSource | Promise<ModelSource>;
  readonly error: string;
  readonly code: string;
  readonly options?: LoadOptions;
}

const cases: readonly Case[] = [
  { name: "an address without a file", source: () => "/answers/missing.gguf", error: "NetworkError", code: "http-404" },
  { name: "an address that gives a page", source: () => "/answers/page.gguf", error: "NetworkError", code: "http-html" },
  {
    name: "a server that is not there",
    source: () => "http://127.0.0.1:1/model.gguf",
    error: "NetworkError",
    code: "network-failed",
  },
  {
    name: "the caller's fetch that fails",
    source: () => MODEL_URL,
    error: "NetworkError",
    code: "network-failed",
    options: { fetch: noNetwork },
  },
  { name: "an object URL that was revoked", source: revokedUrl, error: "NetworkError", code: "network-failed" },
  { name: "a text file", source: () => new File([text.repeat(20)], "list.txt"), error: "GgufError", code: "gguf-magic" },
  { name: "an empty file", source: () => new File([], "empty.gguf"), error: "GgufError", code: "gguf-magic" },
  { name: "a file cut off", source: cutOff, error: "GgufError", code: "gguf-tensor-offset" },
  { name: "an address of a hub", source: () => "hf:owner/model", error: "UnsupportedError", code: "source-scheme" },
  { name: "an unknown scheme", source: () => "ftp://127.0.0.1/model.gguf", error: "ConfigError", code: "bad-url" },
  { name: "something else", source: () => 42 as unknown as string, error: "ConfigError", code: "bad-source" },
  {
    name: "an option that is not allowed",
    source: () => MODEL_URL,
    error: "ConfigError",
    code: "invalid-option",
    options: { nCtx: -1 },
  },
  {
    name: "more memory than there is",
    source: () => MODEL_URL,
    error: "BackendError",
    code: "memory-too-large",
    options: { nCtx: 2 ** 30 },
  },
  {
    name: "a worker that is not there",
    source: () => MODEL_URL,
    error: "BackendError",
    code: "worker-failed",
    options: { workerUrl: "/answers/missing.gguf" },
  },
  {
    name: "a worker of another origin",
    source: () => MODEL_URL,
    error: "BackendError",
    code: "worker-failed",
    options: { workerUrl: "http://127.0.0.1:1/worker.js" },
  },
];

test.each(cases)("$name is a $error", async ({ source, error: name, code, options }) => {
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

function noNetwork(): Promise<never> {
  return Promise.reject(new TypeError("no network"));
}

async function cutOff(): Promise<Blob> {
  return new Blob([(await modelBytes()).slice(0, 900_000)]);
}

function revokedUrl(): string {
  const url = URL.createObjectURL(new Blob(["x"]));
  URL.revokeObjectURL(url);
  return url;
}
