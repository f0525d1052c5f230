/** What `bitnet bench` says and leaves behind; how fast anything is, is not tested. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { memorySource } from "../../src/bytes/memory.ts";
import { main } from "../../src/cli/program.ts";
import { readGguf } from "../../src/gguf/reader.ts";
import { call, memoryTerminal, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
afterAll(() => folder.dispose());
afterEach(() => vi.unstubAllEnvs());

const TINY = ["--pp", "5", "--tg", "3", "-r", "2"];

/** An empty folder that synthetic models are made in. */
function temporaryModels(name: string): string {
  const path = folder.path(name);
  mkdirSync(path);
  vi.stubEnv("TMPDIR", path);
  expect(tmpdir()).toBe(path);
  return path;
}

test("a synthetic model, as JSON: one record per thread count, and nothing left behind", async () => {
  const temporary = temporaryModels("json");
  const { code, stdout, stderr } = await call(["bench", "--synthetic", "stories", "-t", "1,2", ...TINY, "--json"]);
  expect(code, stderr).toBe(0);
  const results = JSON.parse(stdout) as Record<string, unknown>[];
  expect(results.map((result) => result["threads"])).toEqual([1, 2]);
  for (const result of results) {
    expect(result).toMatchObject({
      model: "stories synthetic, seed 1",
      prefillTokens: 5,
      decodeTokens: 3,
      reps: 2,
      quantization: "I2_S",
      readBytesPerSecond: null,
      readShare: null,
    });
    for (const key of ["prefillTokensPerSecond", "decodeTokensPerSecond", "loadMs", "peakBytes", "bytesPerToken"]) {
      expect(result[key], key).toBeGreaterThan(0);
    }
    expect(result["prefillTokensPerSecond"]).toBeGreaterThanOrEqual(result["medianPrefillTokensPerSecond"] as number);
    expect(result["decodeTokensPerSecond"]).toBeGreaterThanOrEqual(result["medianDecodeTokensPerSecond"] as number);
    // a process of Node and the model's 2 MB at least
    expect(result["peakBytes"]).toBeGreaterThan(2e7);
  }
  // ternary weights in a quarter of a byte, the F16 head, norms in F32: no embedding
  const nTernary = 6 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512);
  expect(results[0]!["bytesPerToken"]).toBe(nTernary / 4 + 2 * 256 * 2048 + 4 * (6 * (3 * 256 + 512) + 256));
  expect(readdirSync(temporary)).toEqual([]);
});

test("the bundled model, as a table", async () => {
  const { code, stdout, stderr } = await call(["bench", "-t", "auto", ...TINY]);
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/^stories-4m: 4,071,168 parameters, I2_S\n.*Node \d+/);
  expect(stdout).toMatch(/threads +prefill 5 +decode 3 +load +peak memory +of the read limit\n +\d+ /);
  expect(stdout).toContain("best of 2 (median)");
});

describe("--save", () => {
  test("keeps a file that loads", async () => {
    const path = folder.path("kept.gguf");
    const saved = await call(["bench", "--synthetic", "stories", "--save", path, ...TINY, "--json"]);
    expect(saved.code, saved.stderr).toBe(0);
    expect(JSON.parse(saved.stdout)).toHaveLength(1);
    const run = await call(["run", path, "-p", "ab", "-n", "3", "--temp", "0", "--ignore-eos", "--json"]);
    expect(run.code, run.stderr).toBe(0);
    expect((JSON.parse(run.stdout) as { tokens: number[] }).tokens).toHaveLength(3);
    expect(existsSync(`${path}.part`)).toBe(false);
  });

  test("writes TQ2_0 for llama.cpp, measured or not", async () => {
    const path = folder.path("tq2.gguf");
    const { code, stdout, stderr } = await call(["bench", "--synthetic", "stories:tq2_0", "--save", path, ...TINY, "--json"]);
    expect(code, stderr).toBe(0);
    expect(Array.isArray(JSON.parse(stdout))).toBe(true);
    const { metadata, tensors } = await readGguf(memorySource(new Uint8Array(readFileSync(path))));
    expect(metadata.string("general.architecture")).toBe("bitnet");
    expect(new Set(tensors.map((tensor) => tensor.format))).toEqual(new Set(["F16", "F32", "TQ2_0"]));
  });

  test("a folder that does not exist", async () => {
    const { code, stderr } = await call(["bench", "--synthetic", "stories", "--save", folder.path("none/kept.gguf")]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^bitnet: .*kept\.gguf'?: there is no such folder/);
  });
});

test("Ctrl-C while the model is made leaves nothing behind", async () => {
  const temporary = temporaryModels("interrupted");
  const terminal = memoryTerminal();
  const running = main(["bench", "--synthetic", "bitnet-2b-4t"], terminal);
  const { promise: isBegun, resolve } = promiseOf<void>();
  const poll = setInterval(() => {
    const files = readdirSync(temporary, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".part"));
    if (files.some((name) => statSync(`${temporary}/${name}`).size > 0)) resolve();
  }, 1);
  await Promise.race([isBegun, running]);
  clearInterval(poll);
  terminal.interrupt();
  expect(await running).toBe(130);
  expect(terminal.out()).toBe("");
  expect(readdirSync(temporary)).toEqual([]);
});

function promiseOf<T>() {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((fulfil) => {
    resolve = fulfil;
  });
  return { promise, resolve };
}

describe("what cannot be measured", () => {
  test.each([
    [["--synthetic", "nothing"], 1, /no model is named 'nothing'; this version makes bitnet-2b-4t, stories/],
    [["--synthetic", "qwen2-0.5b"], 1, /this version makes bitnet-2b-4t, stories/],
    [["--synthetic", "stories:q9_9"], 1, /no type of 'stories' is named 'q9_9'; this version makes i2_s, tq2_0/],
    [["-t", "0"], 2, /-t is '0'; must be auto or whole numbers/],
    [["-t", "1,x"], 2, /-t is '1,x'/],
    [["--pp", "0"], 2, /--pp is '0'/],
    [["--save", "x.gguf"], 2, /--save is given without --synthetic/],
    [["model.gguf", "--synthetic", "stories"], 2, /a model or --synthetic is taken, got both/],
    [["none.gguf"], 1, /none\.gguf/],
  ])("%j", async (args, code, message) => {
    const outcome = await call(["bench", ...args]);
    expect(outcome.code, outcome.stderr).toBe(code);
    expect(outcome.stdout).toBe("");
    expect(outcome.stderr).toMatch(/^bitnet: [^\n]+\n$/);
    expect(outcome.stderr).toMatch(message);
  });
});
