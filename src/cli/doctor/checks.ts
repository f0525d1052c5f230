/** The checks of `doctor` on a loaded model, but for layout and repetition. */
import { availableParallelism, freemem, totalmem } from "node:os";
import { LmError } from "../../errors.ts";
import type { Inspection, Model } from "../../index.ts";
import { bytes } from "../output.ts";
import { type Check, chanceOf, ENGLISH, scoreEnglish } from "./check.ts";

/** Accents, typographic marks, a joined emoji, CJK, digits, code and runs of white space. */
const ROUND_TRIP = "Café naïve — “quotes” 😀 👩‍💻 日本語 1234567890 f(x) = x² + 1;\n\n\tend  ";

/** Enough tokens to tell the logits of one prefill from those of single steps. */
const N_STEPS = 8;
/** Σ(x − y)² / Σ y² of logits that are the same but for the order of float additions. */
const MAX_NMSE = 1e-3;
/** Nats a token: what the BOS must gain or lose to be named. */
const BOS_GAIN = 0.5;
/** Nats a token that any trained model gains over guessing, by far. */
const MIN_GAIN = 1;

export function memoryCheck({ plan }: Inspection): Check {
  if (plan === null) return { name: "memory", ok: false, detail: "no plan: the model cannot be run" };
  const total = plan.weightsBytes + plan.kvBytes + plan.scratchBytes;
  const figures = `${bytes(total)}: weights ${bytes(plan.weightsBytes)}, KV cache ${bytes(plan.kvBytes)} for ${plan.nCtx} tokens, scratch ${bytes(plan.scratchBytes)}`;
  const machine = `this machine has ${bytes(totalmem())}, ${bytes(freemem())} of it free, and ${availableParallelism()} processors`;
  const ok = total < totalmem();
  return { name: "memory", ok, detail: `${figures}; ${machine}${ok ? "" : "; use a smaller -c or a smaller model"}` };
}

export function tokenizerCheck(model: Model): Check {
  const { tokenizer } = model;
  const { spec } = tokenizer;
  const problems: string[] = [];
  const { bosId, eosId, eogIds, pre, addBos } = spec;
  if (bosId !== null && !tokenizer.isSpecial(bosId))
    problems.push(`BOS ${bosId} is ordinary text: ${JSON.stringify(tokenizer.piece(bosId))}`);
  if (eogIds.length === 0) problems.push("no token ends a text: answers go on until the context is full");
  if (tokenizer.nVocab > model.info.nVocab)
    problems.push(`the vocabulary has ${tokenizer.nVocab} tokens, the model ${model.info.nVocab} outputs`);
  const back = tokenizer.decode(tokenizer.encode(ROUND_TRIP));
  if (spec.model !== "wordpiece" && back !== ROUND_TRIP) {
    problems.push(
      `text does not come back as it was: ${JSON.stringify(ROUND_TRIP)} becomes ${JSON.stringify(back)}; is the pre-tokeniser ${pre} right (--pre)?`,
    );
  }
  const facts = [
    `${spec.model}${pre === null ? "" : `, pre-tokeniser ${pre}`}`,
    bosId === null ? "no BOS" : `BOS ${bosId} ${JSON.stringify(tokenizer.piece(bosId))}${addBos ? "" : " (not put first)"}`,
    eosId === null ? "no EOS" : `EOS ${eosId} ${JSON.stringify(tokenizer.piece(eosId))}`,
    ...(problems.length === 0 ? ["accents, emoji and digits come back as they were"] : []),
  ];
  const remarks = model.warnings
    .filter((warning) => warning.startsWith("tokenizer: "))
    .map((warning) => warning.slice("tokenizer: ".length));
  const detail = [...problems, facts.join(", "), ...remarks].join("; ");
  if (problems.length === 0) return { name: "tokenizer", ok: true, detail };
  return { name: "tokenizer", ok: false, detail, cause: `the tokenizer: ${problems[0]}` };
}

export async function templateCheck(model: Model): Promise<Check> {
  const name = "template";
  if (model.chatTemplate === null) return { name, ok: true, detail: "none: a model that continues texts; use run, not chat" };
  const replaced = model.warnings
    .filter((warning) => warning.startsWith("chat template: "))
    .map((warning) => `; ${warning.slice("chat template: ".length)}`);
  try {
    const content = "What is a bit?";
    const text = await model.renderChat([{ role: "user", content }]);
    const ok = text.includes(content);
    const shown = JSON.stringify(text.length > 120 ? `${text.slice(0, 119)}…` : text);
    return { name, ok, detail: `${ok ? "renders" : "loses the user's message"}: ${shown}${replaced.join("")}` };
  } catch (error) {
    if (!(error instanceof LmError)) throw error;
    return { name, ok: false, detail: `${error.message}; chat cannot be used, run can${replaced.join("")}` };
  }
}

/** Finite, not all the same, and the same from one prefill as from single steps: kernels that compute nothing fail here. */
export async function logitsCheck(model: Model, signal: AbortSignal): Promise<Check> {
  const name = "logits";
  const ids = model.tokenizer.encode(ENGLISH, { addSpecial: true, eos: false }).slice(0, Math.min(N_STEPS, model.info.nCtx));
  const whole = model.session();
  const single = model.session();
  try {
    const logits = await whole.prefill(ids, { signal });
    const nBad = logits.filter((value) => !Number.isFinite(value)).length;
    if (nBad > 0) {
      return {
        name,
        ok: false,
        detail: `${nBad} of ${logits.length} logits are not finite: weights are damaged, or a scale is wrong`,
      };
    }
    const [min, max] = logits.reduce(
      ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    );
    if (min === max)
      return { name, ok: false, detail: `all ${logits.length} logits are ${min}: nothing was computed, or all weights are 0` };
    let steps = logits;
    for (const id of ids) {
      signal.throwIfAborted();
      steps = await single.decode(id);
    }
    const difference = nmse(steps, logits);
    if (difference > MAX_NMSE) {
      return {
        name,
        ok: false,
        detail: `reading ${ids.length} tokens at once and one by one differ (NMSE ${difference.toExponential(1)}): a kernel is wrong; try --simd plain`,
      };
    }
    return {
      name,
      ok: true,
      detail: `finite, from ${min.toFixed(1)} to ${max.toFixed(1)}; at once and one by one agree (NMSE ${difference.toExponential(1)})`,
    };
  } finally {
    await whole.dispose();
    await single.dispose();
  }
}

function nmse(x: Float32Array, reference: Float32Array): number {
  let error = 0;
  let power = 0;
  for (let i = 0; i < reference.length; i++) {
    error += (x[i]! - reference[i]!) ** 2;
    power += reference[i]! ** 2;
  }
  return error / power;
}

/** How well plain English is predicted; `score` is with the BOS as the file asks, `known` a cause that another check has found. */
export async function predictionCheck(
  model: Model,
  score: number,
  known: string | undefined,
  signal: AbortSignal,
): Promise<Check> {
  const name = "prediction";
  const { bosId, addBos } = model.tokenizer.spec;
  const chance = chanceOf(model);
  const figures = `${score.toFixed(2)} nats a token on a fixed English text, chance is ${chance.toFixed(2)}`;
  if (score > chance - MIN_GAIN) {
    const cause =
      known ??
      "weights that were never trained or are damaged, or an activation function other than the one that the architecture's name means";
    return { name, ok: false, detail: `${figures}: no better than guessing; likely cause: ${cause}`, cause };
  }
  const other = bosId === null ? score : await scoreEnglish(model, !addBos, signal);
  if (score - other <= BOS_GAIN) return { name, ok: true, detail: figures };
  const cause = addBos
    ? "the file asks for a BOS that the model was not trained with"
    : "a missing BOS: the model was trained with one, but the file does not ask for it";
  return {
    name,
    ok: false,
    detail: `${figures}; ${addBos ? "without" : "with"} the BOS it is ${other.toFixed(2)}; likely cause: ${cause}`,
    cause,
  };
}
