/** `bitnet run`: continues a text, streaming. */
import type { GenerationResult, Model } from "../../index.ts";
import { integer } from "../args.ts";
import { defineCommand } from "../command.ts";
import {
  generateOptions,
  JSON_FLAG,
  LOAD_FLAGS,
  loadOptions,
  PROMPT_FLAGS,
  readPrompt,
  SAMPLING_FLAGS,
  withModel,
} from "../flags.ts";
import { counted, dim, grouped, INTERRUPTED, interruptSignal, modelText, printJson, remark } from "../output.ts";

/** The bundled model's whole context: its stories end by themselves before. */
const DEFAULT_MAX_TOKENS = 512;

export const run = defineCommand({
  name: "run",
  description: "Continues a text",
  notes: `The text streams to stdout; speed, seed and the reason of the end go to stderr. Sampling that is not given is the model's own
suggestion. Ctrl-C stops and keeps what there is; a second one ends at once.

  bitnet run -p "Once upon a time"
  bitnet run model.gguf -f prompt.txt -n 100 --temp 0 --json`,
  flags: {
    ...PROMPT_FLAGS,
    maxTokens: integer(
      { long: "n-predict", short: "n", hint: "N", description: `Most tokens to write; default ${DEFAULT_MAX_TOKENS}` },
      0,
    ),
    ...SAMPLING_FLAGS,
    ...LOAD_FLAGS,
    json: JSON_FLAG,
  },
  async run({ values, source, terminal }) {
    const prompt = await readPrompt(values, terminal);
    const { signal, stop } = interruptSignal(terminal);
    try {
      const options = await loadOptions(values, source, signal);
      return await withModel(source, options, terminal, async (model, progress) => {
        const generation = model.generate(prompt, {
          maxTokens: DEFAULT_MAX_TOKENS,
          ...generateOptions(values),
          ...atMost(values.maxTokens),
        });
        signal.addEventListener("abort", () => generation.cancel(), { once: true });
        if (signal.aborted) generation.cancel();
        progress.show("reading the prompt");
        // the prompt is shown when it is known to fit
        let isBegun = false;
        const begin = () => {
          progress.end();
          if (!isBegun && !values.json)
            terminal.stdout.write(dim(terminal.stdout, modelText(terminal.stdout, promptText(model, prompt))));
          isBegun = true;
        };
        for await (const piece of generation) {
          begin();
          if (!values.json) terminal.stdout.write(modelText(terminal.stdout, piece.text));
        }
        const result = await generation.result;
        begin();
        if (values.json) printJson(terminal, report(model, source, result));
        else {
          terminal.stdout.write("\n");
          remark(terminal, statistics(model, result));
        }
        return result.finishReason === "abort" ? INTERRUPTED : 0;
      });
    } finally {
      stop();
    }
  },
});

function atMost(maxTokens: number | undefined) {
  return maxTokens === undefined ? {} : { maxTokens };
}

function promptText(model: Model, prompt: string | readonly number[]): string {
  return typeof prompt === "string" ? prompt : model.detokenize(prompt, { special: true });
}

function report(model: Model, source: string, result: GenerationResult) {
  const { text, tokens, promptTokens, cachedTokens, finishReason, seed, timings } = result;
  const { name, backend, threads, loadMs } = model.info;
  return {
    text,
    tokens,
    promptTokens,
    cachedTokens,
    finishReason,
    seed,
    timings: { loadMs, ...timings },
    model: name ?? source,
    backend,
    threads,
  };
}

/** Why an answer ended, in words. */
const ENDS: Readonly<Record<GenerationResult["finishReason"], string>> = {
  eos: "the model ended the text",
  stop: "a stop text came",
  length: "the limit of -n",
  context: "the context is full",
  abort: "interrupted",
};

/** One line on how a generation went. */
export function statistics(model: Model, result: GenerationResult): string {
  const { prefillTokensPerSecond, decodeTokensPerSecond } = result.timings;
  const nPrefilled = result.promptTokens - result.cachedTokens;
  const cached = result.cachedTokens > 0 ? ` (${result.cachedTokens} more were kept)` : "";
  const speed = decodeTokensPerSecond > 0 ? ` at ${rate(decodeTokensPerSecond)}` : "";
  return [
    `prompt ${counted(nPrefilled, "token")} at ${rate(prefillTokensPerSecond)}${cached}`,
    `text ${counted(result.tokens.length, "token")}${speed}`,
    `end: ${ENDS[result.finishReason]} (${result.finishReason})`,
    `seed ${result.seed}`,
    `load ${grouped(model.info.loadMs)} ms`,
  ].join(" · ");
}

function rate(tokensPerSecond: number): string {
  return `${tokensPerSecond < 100 ? tokensPerSecond.toFixed(1) : grouped(tokensPerSecond)}/s`;
}
