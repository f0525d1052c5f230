/** `bitnet tokenize`: text to ids; needs no weights. */
import { openTokenizer } from "../../index.ts";
import { toggle } from "../args.ts";
import { defineCommand } from "../command.ts";
import { JSON_FLAG, LOAD_FLAGS, PROMPT_FLAGS, readPrompt } from "../flags.ts";
import { printJson } from "../output.ts";

export const tokenize = defineCommand({
  name: "tokenize",
  description: "Shows the tokens of a text",
  notes: `Prints one token a line: its id, a tab, its text as a JSON string. A GGUF that holds a vocabulary only is enough.

  bitnet tokenize -p "Once upon a time" --json`,
  flags: {
    ...PROMPT_FLAGS,
    bos: toggle({ long: "bos", description: "Puts the model's beginning-of-text token first" }),
    special: toggle({ long: "special", description: "Reads special tokens that are spelled in the text, such as <s>" }),
    pre: LOAD_FLAGS.pre,
    json: JSON_FLAG,
  },
  async run({ values, source, terminal }) {
    const prompt = await readPrompt(values, terminal);
    const tokenizer = await openTokenizer(source, { pre: values.pre });
    const tokens = typeof prompt === "string" ? tokenizer.encode(prompt, { bos: values.bos, special: values.special }) : prompt;
    const pieces = tokens.map((id) => tokenizer.piece(id));
    if (values.json) printJson(terminal, { tokens, pieces });
    else terminal.stdout.write(tokens.map((id, i) => `${id}\t${JSON.stringify(pieces[i])}\n`).join(""));
    return 0;
  },
});
