/** Every command on the stories model: results on stdout, everything else on stderr. */
import { afterAll, describe, expect, test } from "vitest";
import { loadModel } from "../../src/index.ts";
import { logSoftmax } from "../../src/sampling/log-softmax.ts";
import { readGolden } from "../support/golden.ts";
import { fixturePath, hasShared, sharedPath } from "../support/shared.ts";
import { call, STORIES, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
afterAll(() => folder.dispose());

const PROMPT = "Once upon a time";

async function json<T>(...args: string[]): Promise<T> {
  const outcome = await call([...args, "--json"]);
  expect(outcome.code, outcome.stderr).toBe(0);
  expect(outcome.stdout.endsWith("\n")).toBe(true);
  return JSON.parse(outcome.stdout) as T;
}

interface RunReport {
  text: string;
  tokens: number[];
  promptTokens: number;
  finishReason: string;
  seed: number;
  timings: Record<string, number>;
  model: string;
  backend: string;
  threads: number;
}

describe("run", () => {
  const greedy = ["run", "-p", PROMPT, "-n", "12", "--temp", "0"];

  test("continues the prompt on stdout, with one line of statistics on stderr", async () => {
    const outcome = await call(greedy);
    expect(outcome.stdout).toBe("Once upon a time, there was a little girl named Lily. She loved to\n");
    expect(outcome.stderr).toMatch(
      /^prompt 5 tokens at .*\/s · text 12 tokens at .* · end: .*\(length\) · seed \d+ · load \d+ ms\n$/,
    );
  });

  test("reports as JSON", async () => {
    const report = await json<RunReport>(...greedy);
    expect(report).toMatchObject({
      promptTokens: 5,
      finishReason: "length",
      model: "stories-4m",
      backend: "wasm",
      cachedTokens: 0,
    });
    expect(report.text).toBe(", there was a little girl named Lily. She loved to");
    expect(report.tokens).toHaveLength(12);
    expect(report.threads).toBeGreaterThan(0);
    expect(Object.keys(report.timings).sort()).toEqual([
      "decodeMs",
      "decodeTokensPerSecond",
      "loadMs",
      "prefillMs",
      "prefillTokensPerSecond",
    ]);
    for (const value of Object.values(report.timings)) expect(value).toBeGreaterThan(0);
  });

  test("takes the same prompt as text, file, standard input and ids", async () => {
    const { tokens } = await json<RunReport>(...greedy);
    const file = folder.write("prompt.txt", PROMPT);
    const rest = ["-n", "12", "--temp", "0"];
    expect((await json<RunReport>("run", "-f", file, ...rest)).tokens).toEqual(tokens);
    expect((await json<RunReport>("run", "--tokens", "2046,421,432,258,394", ...rest)).tokens).toEqual(tokens);
    expect((await json<RunReport>("run", "-m", STORIES, "-p", PROMPT, ...rest)).tokens).toEqual(tokens);
    const piped = await call(["run", "-f", "-", ...rest, "--json"], PROMPT);
    expect((JSON.parse(piped.stdout) as RunReport).tokens).toEqual(tokens);
  });

  test("ids get nothing added and are shown as text", async () => {
    const report = await json<RunReport>("run", "--tokens", "421,432", "-n", "1", "--temp", "0");
    expect(report.promptTokens).toBe(2);
    expect((await call(["run", "--tokens", "421,432", "-n", "1", "--temp", "0"])).stdout).toMatch(/^Once upon /);
  });

  test("the same seed gives the same text, -n 0 none, a stop text ends it", async () => {
    const sampled = [
      "run",
      "-p",
      PROMPT,
      "-n",
      "20",
      "--temp",
      "1",
      "--top-k",
      "40",
      "--top-p",
      "0.95",
      "--min-p",
      "0.02",
      "--repeat-penalty",
      "1.1",
    ];
    const first = await json<RunReport>(...sampled, "--seed", "7");
    expect(first.seed).toBe(7);
    expect((await json<RunReport>(...sampled, "--seed", "7")).text).toBe(first.text);
    expect((await json<RunReport>(...sampled, "--seed", "8")).text).not.toBe(first.text);
    expect((await call(["run", "-p", PROMPT, "-n", "0"])).stdout).toBe(`${PROMPT}\n`);
    const stopped = await json<RunReport>(...greedy, "--stop", "xyz", "--stop", " girl");
    expect(stopped).toMatchObject({ text: ", there was a little", finishReason: "stop" });
  });

  test("without -n it goes to the model's own end, with --ignore-eos to the end of the context", async () => {
    const ended = await json<RunReport>("run", "-p", PROMPT, "--seed", "1");
    expect(ended.finishReason).toBe("eos");
    const full = await json<RunReport>("run", "-p", PROMPT, "--seed", "1", "--ignore-eos", "-c", "300");
    expect(full.finishReason).toBe("context");
    expect(full.tokens.slice(0, ended.tokens.length)).toEqual(ended.tokens);
  });

  test("load options reach the engine", async () => {
    const { tokens } = await json<RunReport>(...greedy);
    for (const options of [
      ["--simd", "plain"],
      ["-t", "2"],
      ["--head", "f16"],
    ])
      expect((await json<RunReport>(...greedy, ...options)).tokens).toEqual(tokens);
    expect(await json<RunReport>("run", "-p", PROMPT, "-n", "2", "--temp", "0", "--backend", "reference")).toMatchObject({
      backend: "reference",
      tokens: tokens.slice(0, 2),
    });
    expect((await json<RunReport>(...greedy, "--i2s-layout", "neon")).tokens).not.toEqual(tokens);
  });
});

describe("inspect", () => {
  test("as JSON", async () => {
    const inspection = await json<{ tensors: { name: string }[] }>("inspect");
    expect(inspection).toMatchObject({
      architecture: "bitnet-b1.58",
      name: "stories-4m",
      parameters: 4_071_168,
      quantization: "I2_S",
      plan: { nCtx: 512, kvBytes: 512 * 3072 },
      warnings: [],
      tokenizer: { model: "bpe", pre: "gpt-2", bosId: 2046, eosId: 2047 },
      metadata: { "bitnet-b1.58.context_length": 512 },
    });
    expect(inspection.tensors).toHaveLength(68);
  });

  test("for a person, with the plan of another context and what was asked for", async () => {
    const { stdout } = await call(["inspect", STORIES, "-c", "128"]);
    for (const shown of [
      "stories-4m",
      "4,071,168",
      "512 tokens",
      "gpt-2",
      "I2_S",
      "128 tokens",
      "3,072 bytes a token",
      "42 tensors",
    ])
      expect(stdout).toContain(shown);
    expect(stdout).not.toContain("general.license");
    expect((await call(["inspect", "--metadata", "--tensors"])).stdout).toMatch(
      /blk\.5\.ffn_down\.weight {2}I2_S \[512, 256\][\s\S]*general\.license = "/,
    );
  });
});

describe("tokenize", () => {
  test("prints ids and pieces, with the BOS and special tokens when asked", async () => {
    expect(await json("tokenize", "-p", PROMPT)).toEqual({
      tokens: [421, 432, 258, 394],
      pieces: ["Once", " upon", " a", " time"],
    });
    expect(await json("tokenize", "-p", "Once", "--bos")).toEqual({ tokens: [2046, 421], pieces: ["<|begin_of_text|>", "Once"] });
    expect(await json<{ tokens: number[] }>("tokenize", "-p", "<|end_of_text|>", "--special")).toMatchObject({ tokens: [2047] });
    expect((await json<{ tokens: number[] }>("tokenize", "-p", "<|end_of_text|>")).tokens.length).toBeGreaterThan(1);
    expect(await json("tokenize", "--tokens", "421")).toEqual({ tokens: [421], pieces: ["Once"] });
    expect(await json("tokenize", "-p", "")).toEqual({ tokens: [], pieces: [] });
    expect((await call(["tokenize", "-p", "Once\n"])).stdout).toBe('421\t"Once"\n10\t"\\n"\n');
  });

  test.skipIf(!hasShared)(
    "takes a vocabulary without weights (skipped where the full sets are not beside the checkout)",
    async () => {
      const { tokens } = await json<{ tokens: number[] }>(
        "tokenize",
        sharedPath("tokenizers/ggml-vocab-llama-bpe.gguf"),
        "-p",
        "Hello world",
      );
      expect(tokens).toEqual([9906, 1917]);
    },
  );
});

describe("eval", () => {
  interface Evaluation {
    tokens: number[];
    logSumExp: number;
    top: { id: number; logit: number }[];
    logits?: number[];
  }

  test("gives the logits of the last position", async () => {
    const { tokens, top, logSumExp, logits } = await json<Evaluation>("eval", "-p", PROMPT);
    expect(tokens).toEqual([2046, 421, 432, 258, 394]);
    expect(top).toHaveLength(20);
    expect(top[0]).toMatchObject({ id: 44 });
    expect(top.map((entry) => entry.logit)).toEqual(top.map((entry) => entry.logit).sort((a, b) => b - a));
    expect(logits).toBeUndefined();
    const all = await json<Evaluation>("eval", "-p", PROMPT, "--all", "--top", "3");
    expect(all.logits).toHaveLength(2048);
    expect(all.top).toEqual(top.slice(0, 3));
    expect(all.logits![44]).toBe(top[0]!.logit);
    expect(Math.log(all.logits!.reduce((sum, logit) => sum + Math.exp(logit), 0))).toBeCloseTo(logSumExp, 6);
    expect((await call(["eval", "-p", PROMPT, "--top", "2"])).stdout).toMatch(
      /^44\t14\.\d+\t0\.\d+\t","\n395\t.*\nlog-sum-exp\t14\.8\d+\n$/,
    );
  });

  test("agrees with the golden of the same weights", async () => {
    const golden = readGolden(fixturePath("golden/bitnet-b1.58-i2_s.json"));
    const { tokens, logits, logSumExp } = golden.cases.at(-1)!;
    const evaluation = await json<Evaluation>(
      "eval",
      fixturePath("golden/bitnet-b1.58-i2_s.gguf"),
      "--tokens",
      tokens.join(),
      "--all",
    );
    const power = logits.reduce((sum, logit) => sum + logit ** 2, 0);
    const error = logits.reduce((sum, logit, i) => sum + (logit - evaluation.logits![i]!) ** 2, 0);
    expect(error / power).toBeLessThan(golden.tolerance.nmse);
    expect(Math.abs(evaluation.logSumExp - logSumExp)).toBeLessThan(0.05);
  });
});

describe("perplexity", () => {
  test("scores the second half of each full window, which begins with the BOS", async () => {
    const text = "The dog ran to the park. He saw a ball and was happy. ".repeat(12);
    const file = folder.write("text.txt", text);
    const report = await json<{ perplexity: number; tokens: number }>("perplexity", "-f", file, "-c", "64");
    // the definition once more, window by window
    const model = await loadModel(STORIES, { nCtx: 64 });
    const ids = model.tokenize(text, { bos: true });
    let negative = 0;
    let nScored = 0;
    for (let begin = 0; begin + 64 <= ids.length; begin += 64) {
      const window = [2046, ...ids.slice(begin + 1, begin + 64)];
      const session = model.session();
      const rows = await session.prefill(window, { logits: "all" });
      await session.dispose();
      for (let position = 32; position <= 62; position++, nScored++) {
        negative -= logSoftmax(rows.subarray(position * 2048, (position + 1) * 2048), window[position + 1]!);
      }
    }
    await model.dispose();
    expect(nScored).toBeGreaterThan(60);
    expect(report.tokens).toBe(nScored);
    expect(report.perplexity).toBeCloseTo(Math.exp(negative / nScored), 4);
    expect((await call(["perplexity", "-f", file, "-c", "64"])).stdout).toMatch(
      /^perplexity \d+\.\d{4} \(\d+ tokens scored in \d+ windows\)\n$/,
    );
  });

  test.skipIf(!hasShared)(
    "of held-out stories is PyTorch's within 0.3 % (skipped where the full sets are not beside the checkout)",
    async () => {
      const report = await json<{ perplexity: number; tokens: number }>("perplexity", "-f", sharedPath("models/heldout.txt"));
      expect(report.tokens).toBe(4335);
      expect(Math.abs(report.perplexity / 7.25606 - 1)).toBeLessThan(0.003);
    },
  );
});
