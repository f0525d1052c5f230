/** What goes wrong is one line on stderr with the right exit code, and nothing on stdout. */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { call, editedStories, STORIES, start, temporaryFolder, withKey } from "./support.ts";

const folder = temporaryFolder();
afterAll(() => folder.dispose());

async function expectError(args: readonly string[], code: number, ...parts: (string | RegExp)[]): Promise<void> {
  const outcome = await call(args);
  expect(outcome.code, outcome.stderr).toBe(code);
  expect(outcome.stdout).toBe("");
  expect(outcome.stderr).toMatch(/^bitnet: [^\n]+\n$/);
  for (const part of parts) expect(outcome.stderr).toMatch(part);
}

describe("models that cannot be run: exit code 1", () => {
  const COMMANDS = [
    ["run", "-p", "x"],
    ["chat"],
    ["inspect"],
    ["tokenize", "-p", "x"],
    ["eval", "-p", "x"],
    ["perplexity", "-p", "x"],
    ["doctor"],
  ];

  test.each(COMMANDS.map((command) => [command[0]!, command]))("%s names a path that does not exist", async (_, command) => {
    await expectError([...command, folder.path("none.gguf")], 1, /none\.gguf/, "Check the path");
  });

  test.each([
    ["a directory", () => folder.path("."), /is a directory/],
    ["a text file", () => folder.write("text.gguf", "Once upon a time there was a text."), /not a GGUF file.*a text file/],
    ["an empty file", () => folder.write("empty.gguf", ""), /an empty file/],
    ["a truncated file", () => folder.write("cut.gguf", readFileSync(STORIES).subarray(0, 100_000)), /cut short/],
    ["a header that is cut", () => folder.write("head.gguf", readFileSync(STORIES).subarray(0, 20)), /gguf: /],
  ])("%s", async (_, path, message) => {
    await expectError(["run", path(), "-p", "x"], 1, message);
    await expectError(["inspect", path()], 1, message);
  });

  test("an architecture that is not supported, with those that are", async () => {
    const file = folder.write("arch.gguf", await editedStories({ entries: withKey("general.architecture", "transmogrifier") }));
    await expectError(["run", file, "-p", "x"], 1, /'transmogrifier' is not supported.*bitnet-b1\.58/);
    const outcome = await call(["inspect", file]);
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toContain("'transmogrifier' is not supported");
    expect((await call(["doctor", file, "--json"])).code).toBe(1);
  });

  test("a prompt longer than the context, and ids outside the vocabulary", async () => {
    await expectError(
      ["run", "-p", "word ".repeat(300), "-c", "64"],
      1,
      /prompt has \d+ tokens; the context holds 64/,
      /larger -c/,
    );
    await expectError(["run", "--tokens", "99999999"], 1, /99999999/, /2047/);
    await expectError(["eval", "--tokens", "99999999"], 1, /99999999/);
    await expectError(["tokenize", "--tokens", "99999999"], 1, /99999999/);
  });

  test("files of text that cannot be read", async () => {
    await expectError(["run", "-f", folder.path("none.txt")], 1, /none\.txt.*no such file/);
    await expectError(["perplexity", "-f", folder.path(".")], 1, /cannot be read \(EISDIR\)/);
    await expectError(["perplexity", "-p", "too short"], 1, /one window takes 512/);
  });

  test("chat with a model that has no template", async () => {
    await expectError(["chat"], 1, /'stories-4m' has no chat template/, /bitnet run/);
  });
});

describe("wrong usage: exit code 2", () => {
  test.each([
    [["foo"], /unknown command 'foo'; must be run, chat/],
    [["--foo"], /unknown command '--foo'/],
    [["run", "-p", "x", "--foo"], /unknown flag '--foo' \(see bitnet run --help\)/],
    [["run", "-p", "x", "-n", "abc"], /-n is 'abc'; must be a whole number/],
    [["run", "-p", "x", "-n"], /-n has no value/],
    [["run", "-p", "x", "--temp", "-1"], /--temp is '-1'; must be a number of at least 0/],
    [["run", "-p", "x", "--top-p", "2"], /--top-p is '2'; must be a number from 0 to 1/],
    [["run", "--tokens", "1,x"], /--tokens is '1,x'/],
    [["run", "-p", "x", "-c", "-5"], /-c is '-5'; must be a whole number of at least 1/],
    [["run", "-p", "x", "--backend", "gpu"], /--backend is 'gpu'; must be auto, wasm, reference/],
    [["run"], /one of -p TEXT, -f FILE and --tokens 1,2,3 is needed; none is given/],
    [["run", "-p", "x", "--tokens", "1"], /2 are given/],
    [["run", "a.gguf", "-m", "b.gguf", "-p", "x"], /one model is taken, got 2/],
    [["run", "a.gguf", "once", "-p", "x"], /one model is taken, got 2/],
    [["eval", "-p", "x", "--top", "0"], /--top is '0'/],
    [["doctor", "-c", "8"], /at least 128/],
  ])("%j", async (args, message) => {
    await expectError(args, 2, message);
  });

  test.each(["run", "inspect", "perplexity"])("-c 0 of %s names the model's own context", async (command) => {
    const prompt = command === "inspect" ? [] : ["-p", "x"];
    await expectError(
      [command, ...prompt, "-c", "0"],
      2,
      /-c is 0; must be a whole number of at least 1/,
      /own context is 512 tokens/,
    );
  });

  test("no command at all shows the help on stderr", async () => {
    const outcome = await call([]);
    expect(outcome).toMatchObject({ code: 2, stdout: "" });
    expect(outcome.stderr).toContain("perplexity");
  });
});

test("--help and --version answer on stdout", async () => {
  const version = (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string })
    .version;
  expect(await call(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  expect((await call(["--help"])).stdout).toMatch(/run .*\n.*chat /);
  const help = await call(["run", "--help"]);
  expect(help.code).toBe(0);
  for (const flag of [
    "-n, --n-predict",
    "--temp",
    "--top-k",
    "--min-p",
    "--repeat-last-n",
    "--seed",
    "--ignore-eos",
    "-c, --ctx-size",
    "default 512",
  ]) {
    expect(help.stdout).toContain(flag);
  }
  expect((await call(["doctor", "model.gguf", "-h"])).code).toBe(0);
});

test("--debug adds where an error comes from", async () => {
  const { stderr } = await call(["run", folder.path("none.gguf"), "-p", "x", "--debug"]);
  expect(stderr).toMatch(/^bitnet: .*\n\[file-not-found\] LmError: /);
});

test("a process that fails ends by itself with the code", async () => {
  expect((await start(["run", folder.path("none.gguf"), "-p", "x"], { stdin: "" }).outcome).code).toBe(1);
  expect((await start(["run", "-n", "abc"], { stdin: "" }).outcome).code).toBe(2);
});
