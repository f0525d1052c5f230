/** `doctor` names what is wrong with a file: its layout above all. The repacked models are made here, by the layouts' own description. */
import { afterAll, describe, expect, test } from "vitest";
import { logitsCheck, templateCheck, tokenizerCheck } from "../../src/cli/doctor/checks.ts";
import { repetitionCheck } from "../../src/cli/doctor/repetition.ts";
import type { GgufWriteTensor } from "../../src/gguf/writer.ts";
import { loadModel, type Model } from "../../src/index.ts";
import { fixturePath } from "../support/shared.ts";
import { call, editedStories, type Outcome, STORIES, temporaryFolder, withKey } from "./support.ts";

const folder = temporaryFolder();
afterAll(() => folder.dispose());

interface Check {
  name: string;
  ok: boolean;
  detail: string;
}

async function doctor(...args: string[]): Promise<{ outcome: Outcome; check: (name: string) => Check; failed: string[] }> {
  const outcome = await call(["doctor", ...args, "--json"]);
  const { checks } = JSON.parse(outcome.stdout) as { checks: Check[] };
  const check = (name: string) => checks.find((candidate) => candidate.name === name)!;
  return { outcome, check, failed: checks.filter((candidate) => !candidate.ok).map((candidate) => candidate.name) };
}

/** Code of weight (row, col) of an x86 tensor: 128 weights in 32 bytes, weight i at byte i mod 32, bits 6 − 2⌊i / 32⌋. */
function codeOf(data: Uint8Array, nCols: number, row: number, col: number): number {
  const block = row * nCols + col - (col % 128);
  return (data[block / 4 + (col % 32)]! >> (6 - 2 * Math.floor((col % 128) / 32))) & 3;
}

function repacked(
  tensor: GgufWriteTensor,
  place: (nCols: number, row: number, col: number) => { byte: number; shift: number },
): GgufWriteTensor {
  if (tensor.format !== "I2_S") return tensor;
  const [nCols, nRows] = tensor.shape as [number, number];
  const data = tensor.data.slice();
  data.fill(0, 0, (nRows * nCols) / 4);
  for (let row = 0; row < nRows; row++) {
    for (let col = 0; col < nCols; col++) {
      const { byte, shift } = place(nCols, row, col);
      data[byte]! |= codeOf(tensor.data, nCols, row, col) << shift;
    }
  }
  return { ...tensor, data };
}

/** 64 weights in 16 bytes: weight i at byte i mod 16, bits 6 − 2⌊i / 16⌋. */
const neon = (nCols: number, row: number, col: number) => ({
  byte: (row * nCols + col - (col % 64)) / 4 + (col % 16),
  shift: 6 - 2 * Math.floor((col % 64) / 16),
});

/** Four rows in a byte, the first at the top. */
const rows4 = (nCols: number, row: number, col: number) => ({
  byte: Math.floor(row / 4) * nCols + col,
  shift: 6 - 2 * (row % 4),
});

describe("layout", () => {
  test("x86: all is well", async () => {
    const { outcome, check, failed } = await doctor(STORIES);
    expect(failed).toEqual([]);
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(check("layout").detail).toContain("the I2_S layout is x86, as assumed");
    for (const name of ["memory", "tokenizer", "template", "logits", "layout", "prediction", "repetition"])
      expect(check(name).detail).not.toBe("");
    const { stdout } = await call(["doctor", STORIES]);
    expect(stdout).toMatch(/^ok {4} memory [\s\S]*ok {4} repetition [\s\S]*All is well\.\n$/);
  });

  test.each([
    ["neon", neon],
    ["rows4", rows4],
  ])("%s: named with the option to use, which then helps", async (layout, place) => {
    const file = folder.write(`${layout}.gguf`, await editedStories({ tensor: (tensor) => repacked(tensor, place) }));
    const { outcome, check, failed } = await doctor(file);
    expect(outcome.code).toBe(1);
    expect(failed).toContain("layout");
    expect(check("layout").detail).toContain(`the I2_S layout is ${layout}, not x86: use --i2s-layout ${layout}`);
    expect(check("prediction")).toMatchObject({
      ok: false,
      detail: expect.stringContaining(`use --i2s-layout ${layout}`) as string,
    });
    const cured = await doctor(file, "--i2s-layout", layout);
    expect(cured.failed).toEqual([]);
    const text = async (...args: string[]) =>
      (await call(["run", ...args, "-p", "Once upon a time", "-n", "20", "--temp", "0"])).stdout;
    expect(await text(file, "--i2s-layout", layout)).toBe(await text(STORIES));
  });

  test("random weights: it cannot tell, and says that the model guesses", async () => {
    const { outcome, check } = await doctor(fixturePath("golden/bitnet-b1.58-i2_s.gguf"));
    expect(check("layout")).toMatchObject({ ok: true, detail: expect.stringContaining("cannot tell") as string });
    expect(check("prediction")).toMatchObject({
      ok: false,
      detail: expect.stringContaining("no better than guessing") as string,
    });
    expect(outcome.code).toBe(1);
  });

  test("a file without I2_S weights has no layout to check", async () => {
    expect((await doctor(fixturePath("golden/bitnet-b1.58-f16.gguf"))).check("layout")).toBeUndefined();
  });
});

describe("other causes", () => {
  const signal = new AbortController().signal;

  async function on<T>(bytes: Uint8Array, work: (model: Model) => T | Promise<T>): Promise<T> {
    const model = await loadModel(bytes);
    try {
      return await work(model);
    } finally {
      await model.dispose();
    }
  }

  test("weights that cannot be loaded are a failed check, not an error", async () => {
    const nan = new Uint8Array(new Float32Array(256).fill(Number.NaN).buffer);
    const edited = await editedStories({
      tensor: (tensor) => (tensor.name === "output_norm.weight" ? { ...tensor, data: nan } : tensor),
    });
    const { outcome, check } = await doctor(folder.write("nan.gguf", edited));
    expect(outcome.code).toBe(1);
    expect(check("load")).toMatchObject({ ok: false, detail: expect.stringContaining("not finite") as string });
  });

  test("weights that compute nothing", async () => {
    const zero = await editedStories({
      tensor: (tensor) => (tensor.name === "output_norm.weight" ? { ...tensor, data: new Uint8Array(1024) } : tensor),
    });
    expect(await on(zero, (model) => logitsCheck(model, signal))).toMatchObject({
      ok: false,
      detail: expect.stringContaining("nothing was computed") as string,
    });
  });

  test("a model that turns in circles: a known cause is repeated, else the likely ones are named", async () => {
    // without attention a model only knows the token before
    const deaf = await editedStories({
      tensor: (tensor) => {
        if (tensor.name.includes("attn_output")) tensor.data.fill(0, tensor.data.length - 32);
        return tensor;
      },
    });
    await on(deaf, async (model) => {
      expect(await repetitionCheck(model, "the layout", signal)).toMatchObject({
        ok: false,
        detail: expect.stringMatching(/greedy text loops .*; likely cause: the layout$/) as string,
      });
      expect((await repetitionCheck(model, undefined, signal)).detail).toMatch(/sampling .*; likely cause: /);
    });
  });

  test("a missing BOS, and one that is ordinary text", async () => {
    const silent = await editedStories({
      entries: (entries) =>
        entries.map((entry) => (entry.key === "tokenizer.ggml.add_bos_token" ? { ...entry, value: false } : entry)),
    });
    expect((await on(silent, tokenizerCheck)).detail).toContain("(not put first)");
    const wrong = await editedStories({
      entries: (entries) =>
        entries.map((entry) => (entry.key === "tokenizer.ggml.bos_token_id" ? { ...entry, value: 11 } : entry)),
    });
    expect(await on(wrong, tokenizerCheck)).toMatchObject({
      ok: false,
      detail: expect.stringContaining("BOS 11 is ordinary text") as string,
    });
  });

  test("a template that renders, is replaced, or fails", async () => {
    const check = async (template: string) =>
      on(await editedStories({ entries: withKey("tokenizer.chat_template", template) }), templateCheck);
    expect(await check("{% for m in messages %}<{{ m.content }}>{% endfor %}")).toMatchObject({
      ok: true,
      detail: 'renders: "<What is a bit?>"',
    });
    expect((await check("Human: {{ messages[0].content }}\n\nBITNETAssistant: ")).detail).toContain("placeholder");
    expect(await check("{% for m in messages %}")).toMatchObject({ ok: false });
    expect(await check("Hello")).toMatchObject({
      ok: false,
      detail: expect.stringContaining("loses the user's message") as string,
    });
  });
});
