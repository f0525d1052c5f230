/** `bitnet doctor`: tests a model on this machine and names the likely cause of bad text in words. */
import { LmError } from "../../errors.ts";
import { type Inspection, inspect, type LoadOptions, loadModel, type Model } from "../../index.ts";
import { UsageError } from "../args.ts";
import { defineCommand } from "../command.ts";
import { type Check, chanceOf, scoreEnglish } from "../doctor/check.ts";
import { logitsCheck, memoryCheck, predictionCheck, templateCheck, tokenizerCheck } from "../doctor/checks.ts";
import { type I2sLayout, type LayoutScores, layoutCheck } from "../doctor/layout.ts";
import { repetitionCheck } from "../doctor/repetition.ts";
import { I2S_LAYOUTS, JSON_FLAG, LOAD_FLAGS, loadOptions } from "../flags.ts";
import { dim, interruptSignal, oneLine, printJson, type Terminal } from "../output.ts";
import { Progress } from "../progress.ts";

/** What the English text and the written one need in a vocabulary of words. */
const MIN_CTX = 128;

export const doctor = defineCommand({
  name: "doctor",
  description: "Tests a model and names the cause of bad text",
  notes: `Looks at memory, tokenizer and template, scores a fixed English text under every layout that I2_S weights may have, and looks for
broken logits and loops. The exit code is 0 where all is well, 1 where a check failed.

  bitnet doctor model.gguf`,
  flags: { ...LOAD_FLAGS, json: JSON_FLAG },
  async run({ values, source, terminal }) {
    const { signal, stop } = interruptSignal(terminal);
    const progress = new Progress(terminal);
    try {
      if (values.nCtx !== undefined && values.nCtx > 0 && values.nCtx < MIN_CTX) {
        throw new UsageError(`-c is ${values.nCtx}; must be at least ${MIN_CTX} for doctor, whose texts have that many tokens`);
      }
      const checks = await diagnose(source, await loadOptions(values, source, signal), progress, signal);
      progress.end();
      if (values.json) printJson(terminal, { checks: checks.map(({ name, ok, detail }) => ({ name, ok, detail })) });
      else print(terminal, checks);
      return checks.every((check) => check.ok) ? 0 : 1;
    } finally {
      progress.end();
      stop();
    }
  },
});

function print(terminal: Terminal, checks: readonly Check[]): void {
  const mark = (ok: boolean) => (ok ? dim(terminal.stdout, "ok    ") : "FAILED");
  for (const { name, ok, detail } of checks) terminal.stdout.write(`${mark(ok)} ${name.padEnd(12)}${oneLine(detail)}\n`);
  const nFailed = checks.filter((check) => !check.ok).length;
  terminal.stdout.write(nFailed === 0 ? "All is well.\n" : `${nFailed} of ${checks.length} checks failed.\n`);
}

/** @throws LmError where the file cannot be read at all */
async function diagnose(source: string, options: LoadOptions, progress: Progress, signal: AbortSignal): Promise<Check[]> {
  const inspection = await inspect(source, options);
  const { plan, tokenizer, warnings } = inspection;
  if (plan === null) return [{ name: "model", ok: false, detail: warnings.at(-1) ?? "the model cannot be run" }];
  if (tokenizer === null) return [{ name: "tokenizer", ok: false, detail: warnings.join("; ") }];
  const checks: Check[] = [memoryCheck(inspection)];
  const assumed = options.i2sLayout ?? "x86";
  // the model as it would run stays last, for the other checks
  const others = hasLayouts(inspection) ? await scoreOthers(source, options, assumed, progress, signal) : null;
  let model: Model;
  try {
    model = await loadModel(source, { ...options, onProgress: progress.onLoad });
  } catch (error) {
    if (!(error instanceof LmError)) throw error;
    return [...checks, { name: "load", ok: false, detail: error.message }];
  }
  try {
    return [...checks, ...(await examine(model, others, assumed, progress, signal))];
  } finally {
    await model.dispose();
  }
}

/** The checks that need the loaded model, in the order in which they explain bad text. */
async function examine(
  model: Model,
  others: LayoutScores | null,
  assumed: I2sLayout,
  progress: Progress,
  signal: AbortSignal,
): Promise<Check[]> {
  const checks = [tokenizerCheck(model), await templateCheck(model)];
  progress.show("computing logits");
  const logits = await logitsCheck(model, signal);
  checks.push(logits);
  if (!logits.ok) return checks;
  const firstCause = () => checks.find((check) => check.cause !== undefined)?.cause;
  const score = await scoreEnglish(model, model.tokenizer.spec.addBos, signal);
  if (others !== null) checks.push(layoutCheck(new Map(others).set(assumed, score), chanceOf(model), assumed));
  checks.push(await predictionCheck(model, score, firstCause(), signal));
  progress.show("writing text");
  checks.push(await repetitionCheck(model, firstCause(), signal));
  return checks;
}

function hasLayouts({ tensors }: Inspection): boolean {
  return tensors.some((tensor) => tensor.type === "I2_S");
}

async function scoreOthers(
  source: string,
  options: LoadOptions,
  assumed: I2sLayout,
  progress: Progress,
  signal: AbortSignal,
): Promise<LayoutScores> {
  const scores = new Map<I2sLayout, number | null>();
  for (const layout of I2S_LAYOUTS) {
    scores.set(layout, null);
    if (layout === assumed) continue;
    progress.show(`trying the I2_S layout ${layout}`);
    try {
      const model = await loadModel(source, { ...options, i2sLayout: layout, onProgress: progress.onLoad });
      try {
        scores.set(layout, await scoreEnglish(model, model.tokenizer.spec.addBos, signal));
      } finally {
        await model.dispose();
      }
    } catch (error) {
      // a layout that the file cannot have (rows no multiple of four, logits that overflow) scores nothing
      if (!(error instanceof LmError)) throw error;
    }
  }
  return scores;
}
