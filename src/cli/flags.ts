/** The flags that several commands share, and what they become: load options, a prompt, generate options. */
import { readFile } from "node:fs/promises";
import { LmError } from "../errors.ts";
import { type GenerateOptions, inspect, type LoadOptions, loadModel, type Model } from "../index.ts";
import {
  autoOrCount,
  choice,
  integer,
  real,
  text,
  texts,
  toggle,
  tokenIds,
  UsageError,
  type Values,
  wholeNumber,
} from "./args.ts";
import { note, type Terminal } from "./output.ts";
import { Progress } from "./progress.ts";

export const I2S_LAYOUTS = ["x86", "neon", "rows4"] as const satisfies readonly LoadOptions["i2sLayout"][];

const CONTEXT_RULE = integer(
  { long: "ctx-size", short: "c", hint: "N", description: "Tokens of context; default: the model's own, at most 4096" },
  1,
);

export const LOAD_FLAGS = {
  // 0 is read, so that its error can name the model's own context
  nCtx: { ...CONTEXT_RULE, parse: (value: string) => wholeNumber(value, 0) },
  threads: autoOrCount({ long: "threads", short: "t", hint: "N|auto", description: "Threads; default auto" }),
  backend: choice({ long: "backend", description: "What computes; default auto" }, ["auto", "wasm", "reference"]),
  simd: choice({ long: "simd", description: "SIMD of the kernels; default auto: the fastest that computes right" }, [
    "auto",
    "relaxed",
    "relaxed-i16",
    "relaxed-swizzle",
    "plain",
  ]),
  head: choice({ long: "head", description: "Large output matrices; auto: Q8_0 above 64 MiB" }, ["auto", "f16", "q8_0"]),
  i2sLayout: choice({ long: "i2s-layout", description: "Layout of I2_S weights; default x86 (doctor finds it)" }, I2S_LAYOUTS),
  pre: text({ long: "pre", hint: "NAME", description: "Overrides the file's tokenizer.ggml.pre" }),
};

export const PROMPT_FLAGS = {
  prompt: text({ long: "prompt", short: "p", hint: "TEXT", description: "The text" }),
  file: text({ long: "file", short: "f", hint: "FILE", description: "A file with the text; - is the standard input" }),
  tokens: tokenIds({ long: "tokens", hint: "1,2,3", description: "Token ids in place of text; nothing is added" }),
};

export const SAMPLING_FLAGS = {
  temperature: real(
    { long: "temp", hint: "T", description: "Temperature; 0: always the likeliest token" },
    "a number of at least 0",
    (value) => value >= 0,
  ),
  topK: integer({ long: "top-k", hint: "K", description: "Only the K likeliest tokens; 0: all" }, 0),
  topP: real(
    { long: "top-p", hint: "P", description: "Only the likeliest tokens that sum to P; 1: all" },
    "a number from 0 to 1",
    isShare,
  ),
  minP: real(
    { long: "min-p", hint: "P", description: "Only tokens of at least P times the best; 0: all" },
    "a number from 0 to 1",
    isShare,
  ),
  repeatPenalty: real(
    { long: "repeat-penalty", hint: "R", description: "Divides the logits of recent tokens; 1: no penalty" },
    "a number above 0",
    (value) => value > 0,
  ),
  repeatLastN: integer(
    { long: "repeat-last-n", hint: "N", description: "How many tokens count as recent; -1: all; default 64" },
    -1,
  ),
  seed: integer({ long: "seed", hint: "S", description: "Same seed, same text; default: drawn, and shown at the end" }, 0),
  ignoreEos: toggle({ long: "ignore-eos", description: "Goes on behind the end of the text" }),
  stop: texts({ long: "stop", hint: "TEXT", description: "Ends before this text; may be given several times" }),
};

export const JSON_FLAG = toggle({ long: "json", description: "Prints one JSON object" });

function isShare(value: number): boolean {
  return value >= 0 && value <= 1;
}

/** @throws UsageError for a context of 0, with the model's own in it; LmError where the model cannot be read */
export async function loadOptions(values: Values<typeof LOAD_FLAGS>, source: string, signal?: AbortSignal): Promise<LoadOptions> {
  const { nCtx, threads, backend, simd, head, i2sLayout, pre } = values;
  const options: LoadOptions = { threads, backend, simd, head, i2sLayout, pre, signal };
  if (nCtx !== 0) return { ...options, nCtx };
  const { architecture, metadata, plan } = await inspect(source, options);
  const trained = metadata[`${architecture}.context_length`];
  const used = plan === null ? "" : `; without -c ${plan.nCtx} are used`;
  throw new UsageError(`-c is 0; must be ${CONTEXT_RULE.allowed} (this model's own context is ${String(trained)} tokens${used})`);
}

/** Loads the model with progress and warnings on stderr, does `work`, and frees the model. */
export async function withModel<T>(
  source: string,
  options: LoadOptions,
  terminal: Terminal,
  work: (model: Model, progress: Progress) => Promise<T>,
): Promise<T> {
  const progress = new Progress(terminal);
  let model: Model;
  try {
    model = await loadModel(source, { ...options, onProgress: progress.onLoad });
  } finally {
    progress.end();
  }
  try {
    for (const warning of model.warnings) note(terminal, `warning: ${warning}`);
    return await work(model, progress);
  } finally {
    progress.end();
    await model.dispose();
  }
}

/** The text or ids that `-p`, `-f` or `--tokens` give. @throws UsageError unless exactly one is given; LmError for the file */
export async function readPrompt(values: Values<typeof PROMPT_FLAGS>, terminal: Terminal): Promise<string | readonly number[]> {
  const { prompt, file, tokens } = values;
  const given = [prompt, file, tokens].filter((value) => value !== undefined);
  if (given.length !== 1) {
    const got = given.length === 0 ? "none is given" : `${given.length} are given`;
    throw new UsageError(`one of -p TEXT, -f FILE and --tokens 1,2,3 is needed; ${got}`);
  }
  return prompt ?? tokens ?? readText(file!, terminal);
}

/** The whole file, or the standard input for `-`, as UTF-8. @throws LmError `file-not-found`, `file-not-readable` */
export async function readText(path: string, terminal: Terminal): Promise<string> {
  if (path === "-") {
    const chunks: Buffer[] = [];
    for await (const chunk of terminal.stdin) chunks.push(Buffer.from(chunk as Uint8Array | string));
    return Buffer.concat(chunks).toString("utf8");
  }
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const system = (cause as NodeJS.ErrnoException).code ?? "unknown";
    const [code, what] =
      system === "ENOENT" ? ["file-not-found", "there is no such file"] : ["file-not-readable", `it cannot be read (${system})`];
    throw new LmError(code, `-f '${path}': ${what}`, {
      hint: "Give the path of a text file, or - for the standard input",
      cause,
    });
  }
}

/** Ids as the model wants them: text with its BOS, ids as they are. @throws UsageError where there are none */
export function promptIds(model: Model, prompt: string | readonly number[]): readonly number[] {
  const ids = typeof prompt === "string" ? model.tokenizer.encode(prompt, { addSpecial: true, eos: false }) : prompt;
  if (ids.length === 0) throw new UsageError("the prompt has no tokens; this model puts none before an empty text");
  return ids;
}

/** What the sampling flags say to `generate`. */
export function generateOptions(values: Values<typeof SAMPLING_FLAGS>): GenerateOptions {
  const { temperature, topK, topP, minP, repeatPenalty, repeatLastN, seed, ignoreEos, stop } = values;
  return { temperature, topK, topP, minP, repeatPenalty, repeatLastN, seed, ignoreEos, stop };
}
