/** `bitnet eval`: the logits behind the last token of a prompt. */
import { logSumExp } from "../../sampling/log-softmax.ts";
import { integer, toggle } from "../args.ts";
import { defineCommand } from "../command.ts";
import { JSON_FLAG, LOAD_FLAGS, loadOptions, PROMPT_FLAGS, promptIds, readPrompt, withModel } from "../flags.ts";
import { interruptSignal, printJson } from "../output.ts";

const DEFAULT_TOP = 20;

export const evaluate = defineCommand({
  name: "eval",
  description: "Shows the logits that follow a text",
  notes: `Text gets the model's beginning-of-text token as the model asks; --tokens gets nothing. Prints one candidate a line: id, logit,
probability, text as a JSON string; after that the logarithm of the sum of all exponentials.

  bitnet eval -p "Once upon a time" --top 5`,
  flags: {
    ...PROMPT_FLAGS,
    top: integer({ long: "top", hint: "N", description: `The N likeliest tokens; default ${DEFAULT_TOP}` }, 1),
    all: toggle({ long: "all", description: "All logits by id: in JSON as well, in text instead" }),
    ...LOAD_FLAGS,
    json: JSON_FLAG,
  },
  async run({ values, source, terminal }) {
    const prompt = await readPrompt(values, terminal);
    const { signal, stop } = interruptSignal(terminal);
    try {
      const options = await loadOptions(values, source, signal);
      return await withModel(source, options, terminal, async (model) => {
        const tokens = promptIds(model, prompt);
        const logits = await model.session().prefill(tokens, { signal });
        const normaliser = logSumExp(logits);
        const ranked = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
        const ids = values.all && !values.json ? [...logits.keys()] : ranked.slice(0, values.top ?? DEFAULT_TOP);
        const top = ids.map((id) => ({ id, logit: logits[id]! }));
        if (values.json) {
          printJson(terminal, { tokens, logSumExp: normaliser, top, ...(values.all && { logits: Array.from(logits) }) });
          return 0;
        }
        for (const { id, logit } of top) {
          const share = Math.exp(logit - normaliser).toFixed(6);
          const { nVocab } = model.tokenizer;
          const piece = id < nVocab ? JSON.stringify(model.tokenizer.piece(id)) : "(not in the vocabulary)";
          terminal.stdout.write(`${id}\t${logit.toFixed(5)}\t${share}\t${piece}\n`);
        }
        terminal.stdout.write(`log-sum-exp\t${normaliser.toFixed(6)}\n`);
        return 0;
      });
    } finally {
      stop();
    }
  },
});
