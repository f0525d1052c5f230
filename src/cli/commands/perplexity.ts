/**
 * `bitnet perplexity`: how well a model predicts a text, by llama.cpp's method (examples/perplexity): the text is tokenised once; of
 * each full window of nCtx tokens, whose first id is replaced by BOS where the model adds one, the predictions made at positions
 * nCtx/2 … nCtx − 2 count.
 */
import { ConfigError } from "../../errors.ts";
import type { Model } from "../../index.ts";
import { logSoftmax } from "../../sampling/log-softmax.ts";
import { defineCommand } from "../command.ts";
import { JSON_FLAG, LOAD_FLAGS, loadOptions, PROMPT_FLAGS, promptIds, readPrompt, withModel } from "../flags.ts";
import { grouped, interruptSignal, printJson } from "../output.ts";

const DEFAULT_CTX = 512;
/** One position must be left to score: nCtx/2 ≤ nCtx − 2. */
const MIN_CTX = 3;
/** Rows of logits that are held at once stay below this. */
const MAX_LOGITS_BYTES = 32 * 2 ** 20;

export const perplexity = defineCommand({
  name: "perplexity",
  description: "Measures how well a model predicts a text",
  notes: `The text is cut into full windows of -c tokens (default ${DEFAULT_CTX}), each beginning with the model's beginning-of-text token; the second
half of each is scored. What is left at the end of the text is not.

  bitnet perplexity model.gguf -f text.txt`,
  flags: { ...PROMPT_FLAGS, ...LOAD_FLAGS, json: JSON_FLAG },
  async run({ values, source, terminal }) {
    const prompt = await readPrompt(values, terminal);
    const { signal, stop } = interruptSignal(terminal);
    try {
      const options = await loadOptions({ ...values, nCtx: values.nCtx ?? DEFAULT_CTX }, source, signal);
      return await withModel(source, options, terminal, async (model, progress) => {
        const ids = promptIds(model, prompt);
        const onWindow = (done: number, total: number, soFar: number) => {
          progress.show(`window ${done} of ${total}, perplexity so far ${soFar.toFixed(3)}`);
        };
        const result = await score(model, ids, onWindow, signal);
        progress.end();
        if (values.json) printJson(terminal, { perplexity: result.perplexity, tokens: result.nScored });
        else {
          const { nScored, nWindows } = result;
          terminal.stdout.write(
            `perplexity ${result.perplexity.toFixed(4)} (${grouped(nScored)} tokens scored in ${nWindows} windows)\n`,
          );
        }
        return 0;
      });
    } finally {
      stop();
    }
  },
});

async function score(
  model: Model,
  ids: readonly number[],
  onWindow: (done: number, total: number, soFar: number) => void,
  signal: AbortSignal,
) {
  const { nCtx } = model.plan;
  const nWindows = Math.floor(ids.length / nCtx);
  if (nCtx < MIN_CTX || nWindows === 0) {
    const reason =
      nCtx < MIN_CTX
        ? `windows of ${nCtx} tokens leave nothing to score; at least ${MIN_CTX} are needed`
        : `the text has ${ids.length} tokens; one window takes ${nCtx}`;
    throw new ConfigError("text-too-short", `perplexity: ${reason}`, {
      data: { nTokens: ids.length, nCtx },
      hint: nCtx < MIN_CTX ? "Give a larger -c" : "Give a longer text or a smaller -c",
    });
  }
  const { spec } = model.tokenizer;
  const session = model.session();
  let negative = 0;
  let nScored = 0;
  for (let window = 0; window < nWindows; window++) {
    const tokens = ids.slice(window * nCtx, (window + 1) * nCtx);
    if (spec.addBos && spec.bosId !== null) tokens[0] = spec.bosId;
    const first = Math.floor(nCtx / 2);
    await session.truncate(0);
    await session.prefill(tokens.slice(0, first), { logits: "none", signal });
    const chunk = Math.max(1, Math.floor(MAX_LOGITS_BYTES / (4 * model.info.nVocab)));
    for (let begin = first; begin < nCtx - 1; begin += chunk) {
      const end = Math.min(begin + chunk, nCtx - 1);
      const rows = await session.prefill(tokens.slice(begin, end), { logits: "all", signal });
      const nVocab = rows.length / (end - begin);
      for (let row = 0; row < end - begin; row++) {
        negative -= logSoftmax(rows.subarray(row * nVocab, (row + 1) * nVocab), tokens[begin + row + 1]!);
        nScored++;
      }
    }
    onWindow(window + 1, nWindows, Math.exp(negative / nScored));
  }
  return { perplexity: Math.exp(negative / nScored), nScored, nWindows };
}
