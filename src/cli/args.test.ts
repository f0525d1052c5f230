import { describe, expect, test } from "vitest";
import {
  autoOrCount,
  choice,
  commandHelp,
  didYouMean,
  integer,
  parseFlags,
  programHelp,
  real,
  text,
  texts,
  toggle,
  tokenIds,
  UsageError,
} from "./args.ts";

const FLAGS = {
  prompt: text({ long: "prompt", short: "p", hint: "TEXT", description: "a text" }),
  count: integer({ long: "count", short: "n", hint: "N", description: "how many" }, -1),
  temp: real({ long: "temp", hint: "T", description: "a number" }, "a number of at least 0", (value) => value >= 0),
  ids: tokenIds({ long: "tokens", hint: "1,2", description: "ids" }),
  threads: autoOrCount({ long: "threads", short: "t", hint: "N|auto", description: "threads" }),
  backend: choice({ long: "backend", description: "what computes" }, ["wasm", "reference"]),
  stop: texts({ long: "stop", hint: "TEXT", description: "ends" }),
  json: toggle({ long: "json", short: "j", description: "as JSON" }),
};

const values = (...argv: string[]) => parseFlags(argv, FLAGS).values;
const failure = (...argv: string[]): string => {
  try {
    parseFlags(argv, FLAGS);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error(`accepted: ${argv.join(" ")}`);
};

describe("parseFlags", () => {
  test("reads long and short flags, values behind = and positionals in any order", () => {
    const { values: read, positionals } = parseFlags(
      ["model.gguf", "-p", "a b", "--count=5", "--json", "x", "--temp", ".5"],
      FLAGS,
    );
    expect(read).toEqual({
      prompt: "a b",
      count: 5,
      temp: 0.5,
      ids: undefined,
      threads: undefined,
      backend: undefined,
      stop: [],
      json: true,
    });
    expect(positionals).toEqual(["model.gguf", "x"]);
  });

  test("a value may begin with a dash unless it spells a flag", () => {
    expect(values("-p", "- item").prompt).toBe("- item");
    expect(values("--count", "-1").count).toBe(-1);
    expect(values("--prompt=--json").prompt).toBe("--json");
    expect(values("-p", "").prompt).toBe("");
    expect(failure("-p", "--json")).toBe("-p has no value; must be a text");
    expect(failure("-p", "--temp=1")).toBe("-p has no value; must be a text");
  });

  test("the last one counts, of a list all", () => {
    expect(values("-n", "1", "-n", "2").count).toBe(2);
    expect(values("--stop", "a", "--stop", "b").stop).toEqual(["a", "b"]);
  });

  test("behind -- everything is positional; a lone dash is as well", () => {
    expect(parseFlags(["-", "--", "-p", "--json"], FLAGS).positionals).toEqual(["-", "-p", "--json"]);
  });

  test("reads lists of ids, choices and counts", () => {
    expect(values("--tokens", "1, 22,3").ids).toEqual([1, 22, 3]);
    expect(values("--backend", "wasm").backend).toBe("wasm");
    expect(values("-t", "auto").threads).toBe("auto");
    expect(values("-t", "4").threads).toBe(4);
  });

  test.each([
    [["--foo"], "unknown flag '--foo'"],
    [["--tmp", "1"], "unknown flag '--tmp'; did you mean '--temp'?"],
    [["-x"], "unknown flag '-x'"],
    [["-n5"], "unknown flag '-n5'"],
    [["--__proto__", "1"], "unknown flag '--__proto__'"],
    [["-n"], "-n has no value; must be a whole number of at least -1"],
    [["-n", "abc"], "-n is 'abc'; must be a whole number of at least -1"],
    [["-n", "1.5"], "-n is '1.5'; must be a whole number of at least -1"],
    [["-n", "-2"], "-n is '-2'; must be a whole number of at least -1"],
    [["-n", "9007199254740993"], "-n is '9007199254740993'; must be a whole number of at least -1"],
    [["--count="], "--count is ''; must be a whole number of at least -1"],
    [["--temp", "-1"], "--temp is '-1'; must be a number of at least 0"],
    [["--temp", "1e999"], "--temp is '1e999'; must be a number of at least 0"],
    [["--temp", "0x1"], "--temp is '0x1'; must be a number of at least 0"],
    [["--tokens", "1,x"], "--tokens is '1,x'; must be whole numbers separated by commas, such as 1,2,3"],
    [["--tokens", ""], "--tokens is ''; must be whole numbers separated by commas, such as 1,2,3"],
    [["-t", "0"], "-t is '0'; must be auto or a whole number of at least 1"],
    [["--backend", "gpu"], "--backend is 'gpu'; must be wasm, reference"],
    [["--stop", ""], "--stop is ''; must be a text that is not empty"],
    [["--json=1"], "--json takes no value; got '1'"],
  ])("refuses %j", (argv, message) => {
    expect(failure(...argv)).toBe(message);
  });
});

test("a word is only suggested where it is near", () => {
  expect(didYouMean("chatt", ["run", "chat"])).toBe("; did you mean 'chat'?");
  expect(didYouMean("ab", ["run", "eval"])).toBe("");
  expect(didYouMean("-x", ["-p", "-n"])).toBe("");
});

test("help names every flag with its value, the model and the notes", async () => {
  const help = await commandHelp({ name: "run", description: "Runs", flags: FLAGS, notes: "Notes." }, "bitnet", "a GGUF file");
  for (const shown of [
    "[MODEL]",
    "a GGUF file",
    "-p, --prompt",
    "=<TEXT>",
    "--backend",
    "=<wasm|reference>",
    "-j, --json",
    "Notes.",
  ]) {
    expect(help).toContain(shown);
  }
  expect(help).toMatch(/[^\n]\n$/);
  const program = await programHelp("bitnet", "1.2.3", "All", [{ name: "run", description: "Runs", flags: FLAGS, notes: "" }]);
  expect(program).toContain("1.2.3");
  expect(program).toMatch(/run.*Runs/);
});
