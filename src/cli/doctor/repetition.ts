/** Whether greedy text turns in circles, and what is to blame. */
import type { Model } from "../../index.ts";
import type { Check } from "./check.ts";

const PROMPT = "Once upon a time";
const N_TOKENS = 64;
/** Shorter texts have nothing to repeat. */
const MIN_TOKENS = 16;
const N_GRAM = 4;
/** A loop of period p shows in all but the first p sequences; a story that names its hero again stays below a fifth. */
const LOOPING = 0.5;
/** Characters of the text that are shown. */
const SAMPLE = 60;

/** Share of sequences of four ids that occurred before. */
export function repeatedShare(tokens: readonly number[]): number {
  const seen = new Set<string>();
  const nSequences = tokens.length - N_GRAM + 1;
  for (let i = 0; i < nSequences; i++) seen.add(tokens.slice(i, i + N_GRAM).join());
  return nSequences < 1 ? 0 : 1 - seen.size / nSequences;
}

/** `cause` is what other checks found to be wrong, if anything. */
export async function repetitionCheck(model: Model, cause: string | undefined, signal: AbortSignal): Promise<Check> {
  const name = "repetition";
  const options = { maxTokens: N_TOKENS, signal };
  const { tokens, text } = await model.generate(PROMPT, { ...options, temperature: 0 }).result;
  signal.throwIfAborted();
  const sample = JSON.stringify(PROMPT + (text.length > SAMPLE ? `${text.slice(0, SAMPLE)}…` : text));
  if (tokens.length < MIN_TOKENS) {
    return { name, ok: true, detail: `the text ends after ${tokens.length} tokens, too short to repeat itself: ${sample}` };
  }
  const greedy = repeatedShare(tokens);
  if (greedy < LOOPING) {
    const detail = `no loop: of ${tokens.length} greedy tokens, ${percent(greedy)} of the sequences of ${N_GRAM} repeat: ${sample}`;
    return { name, ok: true, detail };
  }
  const loops = `greedy text loops (${percent(greedy)} of the sequences of ${N_GRAM} repeat): ${sample}`;
  if (cause !== undefined) return { name, ok: false, detail: `${loops}; likely cause: ${cause}` };
  const sampled = repeatedShare((await model.generate(PROMPT, { ...options, seed: 1 }).result).tokens);
  signal.throwIfAborted();
  if (sampled < LOOPING) {
    const advice = "keep a temperature above 0 and a --repeat-penalty of 1.1 or more";
    return {
      name,
      ok: true,
      detail: `${loops}; the model's own sampling does not (${percent(sampled)}); likely cause: sampling, so ${advice}`,
    };
  }
  const advice =
    "an activation function other than the one of the training (BitNet's ReLU² read as SiLU is fluent, then loops), a prompt in another form " +
    "than its training, or a small model; try --repeat-penalty 1.2";
  return { name, ok: false, detail: `${loops}; the model's own sampling as well (${percent(sampled)}); likely cause: ${advice}` };
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
