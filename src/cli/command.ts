/** What a command is: its flags, its help, and the work behind them. Every command takes one model and the flags common to all. */
import { commandHelp, type Flags, type HelpPage, parseFlags, text, toggle, type Values } from "./args.ts";
import { resolveModel } from "./model-source.ts";
import type { Terminal } from "./output.ts";

export const PROGRAM = "bitnet";

const COMMON_FLAGS = {
  model: text({ long: "model", short: "m", hint: "MODEL", description: "The model, in place of the argument" }),
  debug: toggle({ long: "debug", description: "Shows where an error comes from" }),
  help: toggle({ long: "help", short: "h", description: "Shows this help" }),
};

/** Everything a command gets to work with. */
export interface CommandContext<F extends Flags> {
  readonly values: Values<F>;
  /** Path or URL of the model. */
  readonly source: string;
  readonly terminal: Terminal;
}

export interface CommandDefinition<F extends Flags> {
  readonly name: string;
  readonly description: string;
  readonly notes: string;
  readonly flags: F;
  /** Gives the exit code. @throws UsageError, LmError, AbortError */
  run(context: CommandContext<F>): Promise<number>;
}

export interface Command extends HelpPage {
  /** Reads the command line behind the command's name and does the work; gives the exit code. */
  execute(argv: readonly string[], terminal: Terminal): Promise<number>;
  help(): Promise<string>;
}

export function defineCommand<const F extends Flags>(definition: CommandDefinition<F>): Command {
  const { name, description, notes } = definition;
  const page: HelpPage = { name, description, notes, flags: { ...definition.flags, ...COMMON_FLAGS } };
  return {
    ...page,
    async execute(argv, terminal) {
      const { values, positionals } = parseFlags(argv, { ...definition.flags, ...COMMON_FLAGS });
      const source = resolveModel(positionals, (values as Values<typeof COMMON_FLAGS>).model);
      return definition.run({ values: values as Values<F>, source, terminal });
    },
    help: () => commandHelp(page, PROGRAM, "A GGUF file or its URL; default: the story model of this package"),
  };
}
