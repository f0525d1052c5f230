/** Every function of the public API on a real model, as a caller uses it. `npm run test:api` */
import { openAsBlob, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as api from "../../src/index.ts";
import {
  type ByteSource,
  type ChatMessage,
  inspect,
  LmError,
  loadModel,
  type Model,
  openTokenizer,
  renderChatTemplate,
} from "../../src/index.ts";
import { argmax } from "../support/golden.ts";

const PATH = fileURLToPath(new URL("../../models/stories-4m-i2_s.gguf", import.meta.url));
const PROMPT = "Once upon a time";
const GREEDY = { temperature: 0, maxTokens: 12 };

let model: Model;
let expected: readonly number[];
beforeAll(async () => {
  model = await loadModel(PATH);
  expected = (await model.generate(PROMPT, GREEDY).result).tokens;
});
afterAll(() => model.dispose());

test("exports what it promises", () => {
  expect(Object.keys(api).sort()).toEqual([
    "BackendError",
    "ConfigError",
    "ContextOverflowError",
    "GgufError",
    "GrammarError",
    "LmError",
    "NetworkError",
    "TemplateError",
    "UnsupportedError",
    "inspect",
    "loadModel",
    "openTokenizer",
    "renderChatTemplate",
  ]);
});

describe("loadModel", () => {
  const bytes = () => new Uint8Array(readFileSync(PATH));
  let server: Server;
  let nRequests = 0;
  beforeAll(async () => {
    const file = bytes();
    server = createServer((request, response) => {
      nRequests++;
      if (request.url !== "/model.gguf") {
        response.writeHead(404).end();
        return;
      }
      const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
      const first = Number(range?.[1] ?? 0);
      const last = range?.[2] ? Math.min(Number(range[2]), file.length - 1) : file.length - 1;
      const headers = { "accept-ranges": "bytes", "content-length": last - first + 1, etag: '"1"' };
      response.writeHead(
        range ? 206 : 200,
        range ? { ...headers, "content-range": `bytes ${first}-${last}/${file.length}` } : headers,
      );
      response.end(request.method === "HEAD" ? undefined : file.subarray(first, last + 1));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => void server.close());
  const url = (path: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;

  const source = (): ByteSource => {
    const file = bytes();
    return { name: "my source", size: file.length, read: async (offset, length) => file.slice(offset, offset + length) };
  };

  test.each<[string, () => api.ModelSource | Promise<api.ModelSource>]>([
    ["a file: URL", () => pathToFileURL(PATH)],
    ["bytes", bytes],
    ["a Blob", () => openAsBlob(PATH)],
    ["a ByteSource", source],
    ["an http: URL", () => url("/model.gguf")],
  ])("takes %s, and gives the same tokens as the path", async (_, make) => {
    const other = await loadModel(await make());
    try {
      expect((await other.generate(PROMPT, GREEDY).result).tokens).toEqual(expected);
    } finally {
      await other.dispose();
    }
  });

  test("reports progress, headers and fetch of the caller are used", async () => {
    const phases = new Set<string>();
    let last = { loaded: 0, total: 0 };
    const before = nRequests;
    const seen: string[] = [];
    const other = await loadModel(url("/model.gguf"), {
      onProgress: ({ phase, loaded, total }) => {
        phases.add(phase);
        last = { loaded, total };
      },
      headers: { "x-mine": "1" },
      fetch: async (input, init) => {
        seen.push(new Headers(init?.headers).get("x-mine") ?? "");
        return fetch(input, init);
      },
    });
    await other.dispose();
    expect([...phases]).toEqual(["metadata", "weights"]);
    expect(last.total).toBeGreaterThan(0);
    expect(last.loaded).toBe(last.total);
    expect(nRequests).toBeGreaterThan(before);
    expect(new Set(seen)).toEqual(new Set(["1"]));
  });

  test("is cancelled by its signal", async () => {
    await expect(loadModel(PATH, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
    const controller = new AbortController();
    const loading = loadModel(PATH, { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(loading).rejects.toMatchObject({ name: "AbortError" });
  });

  test.each<[string, () => Promise<unknown>, string, string]>([
    ["a path that is not there", () => loadModel("/none.gguf"), "LmError", "file-not-found"],
    ["bytes that are no GGUF", () => loadModel(new TextEncoder().encode("no model")), "GgufError", "gguf-magic"],
    ["a URL that is not there", () => loadModel(url("/none.gguf")), "NetworkError", "http-404"],
    ["an option that is not allowed", () => loadModel(PATH, { nCtx: 0 }), "ConfigError", "invalid-option"],
    [
      "a backend that does not exist",
      () => loadModel(PATH, { backend: "gpu" as never }),
      "UnsupportedError",
      "backend-unsupported",
    ],
    ["something that is no source", () => loadModel(42 as never), "ConfigError", "bad-source"],
  ])("refuses %s with class and code", async (_, load, name, code) => {
    const error = await load().then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(LmError);
    expect(error).toMatchObject({ name, code });
  });
});

describe("model", () => {
  test("tells what it is and what it takes", () => {
    expect(model.info).toMatchObject({
      architecture: "bitnet-b1.58",
      name: "stories-4m",
      kind: "base",
      quantization: "I2_S",
      parameters: 4_071_168,
      nCtx: 512,
      nVocab: 2048,
      nEmbd: 256,
      nLayer: 6,
      nHead: 4,
      nHeadKv: 2,
      headDim: 64,
      nFf: 512,
      ropeTheta: 10_000,
      backend: "wasm",
    });
    expect(model.plan.kvBytes).toBe(6 * 2 * 2 * 64 * 2 * 512);
    expect(model.warnings).toEqual([]);
    expect(model.chatTemplate).toBeNull();
  });

  test("tokenizes and back", () => {
    expect(model.tokenize(PROMPT)).toEqual([421, 432, 258, 394]);
    expect(model.tokenize(PROMPT, { bos: true })[0]).toBe(2046);
    expect(model.tokenize("<|end_of_text|>", { special: true })).toEqual([2047]);
    expect(model.detokenize([2046, 421, 432])).toBe("Once upon");
    expect(model.detokenize([2046, 421], { special: true })).toBe("<|begin_of_text|>Once");
    const text = "Café 😀 日本語\n";
    expect(model.detokenize(model.tokenize(text))).toBe(text);
    expect(model.tokenizer.encode(PROMPT, { addSpecial: true, eos: false })).toEqual([2046, 421, 432, 258, 394]);
  });

  test("is gone after dispose, which may be called twice", async () => {
    const other = await loadModel(PATH);
    await other.dispose();
    await other.dispose();
    await expect(other.generate(PROMPT, GREEDY).result).rejects.toMatchObject({ code: "disposed" });
  });
});

describe("generate", () => {
  test("streams pieces that join to the text; result, text() and readable agree", async () => {
    const generation = model.generate(PROMPT, GREEDY);
    let text = "";
    const ids: number[] = [];
    for await (const piece of generation) {
      text += piece.text;
      if (piece.tokenId !== null) ids.push(piece.tokenId);
    }
    const result = await generation.result;
    expect(ids).toEqual(expected);
    expect(result).toMatchObject({ text, tokens: expected, promptTokens: 5, cachedTokens: 0, finishReason: "length" });
    expect(await model.generate(PROMPT, GREEDY).text()).toBe(text);
    let streamed = "";
    for await (const chunk of model.generate(PROMPT, GREEDY).readable) streamed += chunk;
    expect(streamed).toBe(text);
    expect(generation.partialText).toBe(text);
  });

  test("takes ids, to which nothing is added", async () => {
    const ids = [2046, ...model.tokenize(PROMPT)];
    expect((await model.generate(ids, GREEDY).result).tokens).toEqual(expected);
  });

  test("ends at the model's end, a stop text, the limit and the end of the context", async () => {
    const reason = async (options: api.GenerateOptions) =>
      (await model.generate(PROMPT, { temperature: 0.6, seed: 1, ...options }).result).finishReason;
    expect(await reason({})).toBe("eos");
    expect(await reason({ stop: " the" })).toBe("stop");
    expect(await reason({ maxTokens: 3 })).toBe("length");
    expect(await reason({ ignoreEos: true })).toBe("context");
  });

  test("a seed gives the same text again; without one the seed drawn is told", async () => {
    const options = { temperature: 1, topK: 50, topP: 0.95, minP: 0.01, repeatPenalty: 1.1, repeatLastN: 32, maxTokens: 24 };
    const first = await model.generate(PROMPT, options).result;
    expect((await model.generate(PROMPT, { ...options, seed: first.seed }).result).tokens).toEqual(first.tokens);
  });

  test("stops by signal within a token and works at once again", async () => {
    const controller = new AbortController();
    const generation = model.generate(PROMPT, { temperature: 0, ignoreEos: true, signal: controller.signal });
    let nPieces = 0;
    const loop = (async () => {
      for await (const _ of generation) if (++nPieces === 3) controller.abort();
    })();
    await expect(loop).rejects.toMatchObject({ name: "AbortError" });
    const result = await generation.result;
    expect(result.finishReason).toBe("abort");
    expect(result.tokens.length).toBeLessThan(20);
    await expect(generation.text()).rejects.toMatchObject({ name: "AbortError" });
    expect((await model.generate(PROMPT, GREEDY).result).tokens).toEqual(expected);
  });

  test("stops when the loop is left, and by cancel()", async () => {
    const generation = model.generate(PROMPT, { temperature: 0, ignoreEos: true });
    for await (const _ of generation) break;
    expect(await generation.result).toMatchObject({ finishReason: "abort" });
    const cancelled = model.generate(PROMPT, { temperature: 0, ignoreEos: true });
    setTimeout(() => cancelled.cancel(), 30);
    expect((await cancelled.result).finishReason).toBe("abort");
    const streamed = model.generate(PROMPT, { temperature: 0, ignoreEos: true });
    const reader = streamed.readable.getReader();
    await reader.read();
    await reader.cancel();
    expect((await streamed.result).finishReason).toBe("abort");
    expect((await model.generate(PROMPT, GREEDY).result).tokens).toEqual(expected);
  });

  test("refuses wrong options before it begins, and prompts that do not fit", async () => {
    expect(() => model.generate(PROMPT, { temperature: -1 })).toThrow(api.ConfigError);
    expect(() => model.generate(PROMPT, { maxTokens: 1.5 })).toThrow(api.ConfigError);
    await expect(model.generate(new Array<number>(513).fill(40)).result).rejects.toBeInstanceOf(api.ContextOverflowError);
    await expect(model.generate([99_999]).result).rejects.toMatchObject({ code: "token-id" });
  });
});

describe("session", () => {
  const ids = [2046, 421, 432, 258, 394];

  test("prefill, decode, truncate and fork agree with generate", async () => {
    const session = model.session();
    let logits = await session.prefill(ids);
    expect(logits).toHaveLength(2048);
    expect(session.nPast).toBe(5);
    for (const id of expected.slice(0, 4)) {
      expect(argmax(logits)).toBe(id);
      logits = await session.decode(id);
    }
    const fork = session.fork();
    expect(fork.nPast).toBe(9);
    const [a, b] = [await session.decode(expected[4]!), await fork.decode(expected[4]!)];
    expect(a).toEqual(b);
    await session.truncate(5);
    expect(session.nPast).toBe(5);
    expect(argmax(await session.decode(expected[0]!))).toBe(expected[1]);
    await fork.dispose();
    await session.dispose();
    await session.dispose();
    await expect(session.decode(1)).rejects.toMatchObject({ code: "session-disposed" });
  });

  test("gives all rows, the last or none, in any chunks", async () => {
    const whole = model.session();
    const rows = await whole.prefill(ids, { logits: "all" });
    expect(rows).toHaveLength(5 * 2048);
    const parts = model.session();
    expect(await parts.prefill(ids.slice(0, 2), { logits: "none" })).toHaveLength(0);
    expect(await parts.prefill(ids.slice(2))).toEqual(rows.slice(4 * 2048));
    await whole.dispose();
    await parts.dispose();
  });

  test("is cancelled by its signal", async () => {
    const session = model.session();
    await expect(session.prefill(ids, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
    await session.dispose();
  });
});

describe("chat", () => {
  const messages: ChatMessage[] = [{ role: "user", content: "Hello" }];

  test("needs a template, and says so", async () => {
    await expect(model.chat().send("Hello").result).rejects.toMatchObject({ name: "UnsupportedError", code: "no-chat-template" });
    await expect(model.renderChat(messages)).rejects.toMatchObject({ code: "no-chat-template" });
  });

  test("renderChatTemplate writes what a template says", async () => {
    const template =
      "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
    const text = await renderChatTemplate(template, { messages, addGenerationPrompt: true, bosToken: "<s>", eosToken: "</s>" });
    expect(text).toBe("<s><user>Hello<assistant>");
    await expect((async () => renderChatTemplate("{% for %}", { messages }))()).rejects.toBeInstanceOf(api.TemplateError);
  });
});

test("inspect and openTokenizer need no weights", async () => {
  const inspection = await inspect(PATH, { nCtx: 128 });
  expect(inspection).toMatchObject({
    architecture: "bitnet-b1.58",
    parameters: 4_071_168,
    plan: { nCtx: 128, kvBytes: 128 * 3072 },
    ggufVersion: 3,
  });
  expect(inspection.tensors).toHaveLength(68);
  const tokenizer = await openTokenizer(PATH);
  expect(tokenizer.encode(PROMPT)).toEqual([421, 432, 258, 394]);
  expect(tokenizer.decode([421, 432, 258, 394])).toBe(PROMPT);
  const stream = tokenizer.streamDecoder();
  expect(
    tokenizer
      .encode("😀")
      .map((id) => stream.push(id))
      .join("") + stream.end(),
  ).toBe("😀");
  await expect(inspect(new Uint8Array(10))).rejects.toBeInstanceOf(api.GgufError);
});
