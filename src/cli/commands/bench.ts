/** `bitnet bench`: how fast this machine runs a model, and how near that is to what its memory allows. */
import { SYNTHETIC_NAMES, type SyntheticModel, syntheticModel } from "../../synthetic/models.ts";
import { integer, text, UsageError, type ValueFlag, wholeNumber } from "../args.ts";
import { type Result, table } from "../bench/report.ts";
import { measureAll } from "../bench/suite.ts";
import { type WriteOptions, withTemporarySynthetic, writeSynthetic } from "../bench/synthetic-file.ts";
import { defineCommand } from "../command.ts";
import { JSON_FLAG, LOAD_FLAGS, loadOptions } from "../flags.ts";
import { BUNDLED_MODEL } from "../model-source.ts";
import { bytes, interruptSignal, note, oneLine, printJson } from "../output.ts";
import { Progress } from "../progress.ts";

const DEFAULT_PREFILL = 128;
const DEFAULT_DECODE = 64;
const DEFAULT_REPS = 3;

type Threads = "auto" | number;

const THREADS_FLAG: ValueFlag<readonly Threads[]> = {
  kind: "value",
  long: "threads",
  short: "t",
  hint: "1,2,auto",
  description: "Thread counts to measure; default auto",
  allowed: "auto or whole numbers of at least 1, separated by commas, such as 1,2,auto",
  parse(value) {
    const counts = value.split(",").map((count) => (count.trim() === "auto" ? "auto" : wholeNumber(count.trim(), 1)));
    return counts.every((count) => count !== undefined) ? counts : undefined;
  },
};

const { nCtx: _, threads: __, ...COMMON_LOAD_FLAGS } = LOAD_FLAGS;

export const bench = defineCommand({
  name: "bench",
  description: "Measures how fast a model runs on this machine",
  notes: `Per thread count: load, prefill of --pp tokens, decode of --tg tokens behind them, after a warm-up; the best of --reps repetitions, the
median in brackets. Decoding reads every weight once per token, so the table also says how fast this machine's memory can be read from
WebAssembly, and the share of that which decoding reached (models below 64 MiB stay in caches: no share).

--synthetic makes a model of a true shape with random weights, so that nothing is downloaded: ${SYNTHETIC_NAMES.join(", ")}; behind a
colon the type of its weights, i2_s or tq2_0 (llama.cpp's). Without --save FILE it is a temporary file.

  bitnet bench model.gguf -t 1,2
  bitnet bench --synthetic bitnet-2b-4t --json`,
  flags: {
    threads: THREADS_FLAG,
    nPrefill: integer({ long: "pp", hint: "N", description: `Tokens to prefill; default ${DEFAULT_PREFILL}` }, 1),
    nDecode: integer({ long: "tg", hint: "N", description: `Tokens to decode; default ${DEFAULT_DECODE}` }, 1),
    reps: integer({ long: "reps", short: "r", hint: "N", description: `Repetitions; default ${DEFAULT_REPS}` }, 1),
    synthetic: text({ long: "synthetic", hint: "NAME[:TYPE]", description: "A random-weight model of this shape" }),
    seed: integer({ long: "seed", hint: "S", description: "Seed of its weights; default 1" }, 0),
    save: text({ long: "save", hint: "FILE", description: "Keeps it as this file" }),
    ...COMMON_LOAD_FLAGS,
    json: JSON_FLAG,
  },
  async run({ values, source, terminal }) {
    const { synthetic, seed = 1, save } = values;
    if (synthetic === undefined && save !== undefined) throw new UsageError("--save is given without --synthetic NAME");
    if (synthetic !== undefined && source !== BUNDLED_MODEL) {
      throw new UsageError(`a model or --synthetic is taken, got both: ${source}, ${synthetic}`);
    }
    const lengths = { nPrefill: values.nPrefill ?? DEFAULT_PREFILL, nDecode: values.nDecode ?? DEFAULT_DECODE };
    const { signal, stop } = interruptSignal(terminal);
    const progress = new Progress(terminal);
    const measure = async (path: string): Promise<readonly Result[]> => {
      // a context of just what is run: nothing of it is paid for in vain
      const nCtx = lengths.nPrefill + lengths.nDecode + 1;
      const load = await loadOptions({ ...values, nCtx, threads: undefined }, path, signal);
      const { threads: threadCounts = ["auto"], reps: nReps = DEFAULT_REPS } = values;
      return measureAll(path, { threadCounts, lengths, nReps, load, progress, terminal, signal });
    };
    const say = (line: string) => {
      progress.end();
      note(terminal, line);
    };
    const make: WriteOptions = {
      signal,
      onProgress: (written, total) => progress.show(`making ${synthetic}: ${bytes(written)} of ${bytes(total)}`),
    };
    try {
      const results =
        synthetic === undefined
          ? await measure(source)
          : await measureSynthetic(syntheticModel(synthetic), seed, save, measure, make, say);
      progress.end();
      if (values.json) printJson(terminal, results);
      else if (results.length > 0) terminal.stdout.write(`${table(results).map(oneLine).join("\n")}\n`);
      return 0;
    } finally {
      progress.end();
      stop();
    }
  },
});

async function measureSynthetic(
  model: SyntheticModel,
  seed: number,
  save: string | undefined,
  measure: (path: string) => Promise<readonly Result[]>,
  make: WriteOptions,
  say: (line: string) => void,
): Promise<readonly Result[]> {
  const notComputable = `${model.format} weights are made for other engines; this version has no kernel for them`;
  if (save === undefined) {
    if (!model.isComputable) throw new UsageError(`--synthetic ${model.name} needs --save FILE: ${notComputable}`);
    return withTemporarySynthetic(model, seed, make, measure);
  }
  const { size } = await writeSynthetic(model, seed, save, make);
  say(`saved ${save} (${bytes(size)})`);
  if (model.isComputable) return measure(save);
  say(`nothing is measured: ${notComputable}`);
  return [];
}
