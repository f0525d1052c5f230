/** Generation through the public API: cancelling, stopping, ends, sampling, and what is left behind. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadModel, type Model } from "../../src/index.ts";

const path = new URL("../../models/stories-4m-i2_s.gguf", import.meta.url).href;
const run = promisify(execFile);

describe("generate", () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(path);
  });
  afterAll(() => model.dispose());

  test("pieces join to the text, and detokenised ids are the same text", async () => {
    const generation = model.generate("Once upon a time", { temperature: 0, maxTokens: 50 });
    let text = "";
    const ids: number[] = [];
    for await (const piece of generation) {
      text += piece.text;
      if (piece.tokenId !== null) ids.push(piece.tokenId);
    }
    const result = await generation.result;
    expect(text).toBe(result.text);
    expect(ids).toEqual(result.tokens);
    expect(model.detokenize(ids)).toBe(text);
    expect(result).toMatchObject({ promptTokens: 5, finishReason: "length" });
    expect(text).toMatch(/^, there was a little girl named Lily\./);
  });

  test("`break` cancels; the next call works at once", async () => {
    const generation = model.generate("Once upon a time", { temperature: 0 });
    let n = 0;
    for await (const _ of generation) if (++n === 3) break;
    const result = await generation.result;
    expect(result.finishReason).toBe("abort");
    expect(result.tokens.length).toBeLessThan(200);
    expect(await model.generate("Once", { temperature: 0, maxTokens: 3 }).text()).not.toBe("");
  });

  test("a signal cancels the loop with its reason, and keeps the partial text", async () => {
    const controller = new AbortController();
    const generation = model.generate("Once upon a time", { temperature: 0, signal: controller.signal });
    const reason = new Error("enough");
    const loop = (async () => {
      for await (const _ of generation) if (generation.partialText.length > 20) controller.abort(reason);
    })();
    await expect(loop).rejects.toBe(reason);
    expect(generation.partialText.length).toBeGreaterThan(20);
    expect((await generation.result).finishReason).toBe("abort");
  });

  test("a signal that is already aborted stops before anything is generated", async () => {
    const generation = model.generate("Once", { signal: AbortSignal.abort() });
    await expect(generation.text()).rejects.toMatchObject({ name: "AbortError" });
    expect((await generation.result).tokens).toEqual([]);
  });

  test("a hundred cancelled generations leave no page taken", async () => {
    for (let i = 0; i < 100; i++) {
      for await (const _ of model.generate("Once upon a time", { temperature: 0 })) if (Math.random() < 0.5) break;
    }
    // the whole context is free again
    const session = model.session();
    await session.prefill(new Array(512).fill(1), { logits: "none" });
    expect(session.nPast).toBe(512);
    await session.dispose();
  });

  test("stop strings end the text in front of them", async () => {
    const result = await model.generate("Once upon a time", { temperature: 0, stop: ["Lily", "outside"] }).result;
    expect(result.finishReason).toBe("stop");
    expect(result.text).toBe(", there was a little girl named ");
  });

  test("the context's end is said, and a prompt longer than it is a typed error", async () => {
    const ids = new Array(510).fill(44);
    const result = await model.generate(ids, { temperature: 0, ignoreEos: true }).result;
    expect(result.finishReason).toBe("context");
    expect(result.tokens).toHaveLength(3);
    const exact = await model.generate(new Array(512).fill(44), { temperature: 0, ignoreEos: true }).result;
    expect(exact).toMatchObject({ finishReason: "context", promptTokens: 512 });
    await expect(model.generate(new Array(513).fill(44)).text()).rejects.toMatchObject({
      name: "ContextOverflowError",
      code: "context-overflow",
      data: { nPrompt: 513, nCtx: 512 },
    });
  });

  test("a story ends by the model's own EOS, which is not part of the tokens", async () => {
    const result = await model.generate("The end.", { temperature: 0.6, seed: 7 }).result;
    expect(["eos", "context"]).toContain(result.finishReason);
    expect(result.tokens).not.toContain(2047);
  });

  test("a seed repeats its text; another gives another", async () => {
    const say = (seed: number) => model.generate("One day", { temperature: 0.8, seed, maxTokens: 40 }).text();
    const [a, b, c] = [await say(1), await say(1), await say(2)];
    expect(a).toBe(b);
    expect(a).not.toBe(c);
  });

  test("generations that run beside each other give what they give alone", async () => {
    const shared = await loadModel(path, { nParallel: 3 });
    const prompts = ["Once upon a time", "Tom and his dog", "The cat saw"];
    const alone: string[] = [];
    for (const prompt of prompts) alone.push(await shared.generate(prompt, { temperature: 0, maxTokens: 30 }).text());
    const beside = await Promise.all(prompts.map((prompt) => shared.generate(prompt, { temperature: 0, maxTokens: 30 }).text()));
    expect(beside).toEqual(alone);
    await shared.dispose();
  });

  test("the stream view gives the same text, and cancelling it cancels", async () => {
    const expected = await model.generate("Once", { temperature: 0, maxTokens: 20 }).text();
    let text = "";
    for await (const chunk of model.generate("Once", { temperature: 0, maxTokens: 20 }).readable) text += chunk;
    expect(text).toBe(expected);
    const generation = model.generate("Once", { temperature: 0 });
    const reader = generation.readable.getReader();
    await reader.read();
    await reader.cancel();
    expect((await generation.result).finishReason).toBe("abort");
  });

  test.each([
    [{ temperature: -1 }, "temperature"],
    [{ topP: 2 }, "topP"],
    [{ maxTokens: 1.5 }, "maxTokens"],
    [{ stop: [""] }, "stop"],
    [{ seed: -1 }, "seed"],
  ])("%o is refused by name", async (options, name) => {
    const attempt = (async () => model.generate("Once", options).text())();
    await expect(attempt).rejects.toMatchObject({ name: "ConfigError", message: expect.stringContaining(name) });
  });

  test("a cancelled prefill keeps its finished blocks, and the session goes on from there", async () => {
    const ids = Array.from({ length: 500 }, (_, i) => (i * 37) % 2000);
    const expected = await (async () => {
      const fresh = model.session();
      const logits = await fresh.prefill(ids);
      await fresh.dispose();
      return logits;
    })();
    for (const ms of [0, 1, 3, 6]) {
      const session = model.session();
      const controller = new AbortController();
      setTimeout(() => controller.abort(), ms);
      const error = await session.prefill(ids, { signal: controller.signal }).catch((reason: unknown) => reason);
      if (error instanceof Float32Array) expect(error).toEqual(expected);
      else {
        expect(error).toMatchObject({ name: "AbortError" });
        expect(session.nPast % 64).toBe(0);
        expect(await session.prefill(ids.slice(session.nPast))).toEqual(expected);
      }
      expect(session.nPast).toBe(500);
      await session.dispose();
    }
  });

  test("ids outside the vocabulary are refused, and nothing is left half-written", async () => {
    const session = model.session();
    await expect(session.prefill([1, 2048])).rejects.toMatchObject({ code: "token-id" });
    expect(session.nPast).toBe(0);
    await session.prefill([1, 2]);
    await expect(session.decode(-1)).rejects.toMatchObject({ code: "token-id" });
    expect(session.nPast).toBe(2);
    await session.dispose();
  });
});

test("after dispose every call is refused, and dispose may be called again", async () => {
  const model = await loadModel(path);
  const running = model.generate("Once upon a time", { temperature: 0 });
  const ended = running.result;
  await model.dispose();
  await model.dispose();
  await expect(model.generate("Once").text()).rejects.toMatchObject({ code: "disposed" });
  // what ran was cancelled: it ended, one way or the other
  await ended.catch((error: unknown) => expect(error).toMatchObject({ code: "disposed" }));
});

test("a load can be cancelled", async () => {
  await expect(loadModel(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
  const controller = new AbortController();
  const reason = new Error("changed my mind");
  await expect(loadModel(path, { signal: controller.signal, onProgress: () => controller.abort(reason) })).rejects.toBe(reason);
});

describe("a Node program ends by itself", () => {
  const program = (body: string) =>
    run(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `import { loadModel } from ${JSON.stringify(new URL("../../src/index.ts", import.meta.url).href)};${body}`,
      ],
      { timeout: 20_000 },
    );

  test.each([
    ["after dispose", "await m.dispose();"],
    ["without dispose", ""],
    ["with an idle session", "const s = m.session(); await s.prefill([1, 2, 3]);"],
  ])("%s", async (_, end) => {
    const { stdout } = await program(
      `const m = await loadModel(${JSON.stringify(path)}); console.log(await m.generate("Once", { temperature: 0, maxTokens: 4 }).text());${end}`,
    );
    expect(stdout.trim()).not.toBe("");
  });

  test("and does not end while an answer is awaited", async () => {
    const { stdout } = await program(
      `const m = await loadModel(${JSON.stringify(path)}); m.generate("Once", { temperature: 0, maxTokens: 100 }).text().then((t) => console.log(t.length > 50));`,
    );
    expect(stdout.trim()).toBe("true");
  });
});
