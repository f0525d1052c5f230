/** From the command line to an exit code: picks the command, and turns every error into one line. */

import { stripVTControlCharacters } from "node:util";
import { LmError } from "../errors.ts";
import { didYouMean, programHelp, UsageError } from "./args.ts";
import { type Command, PROGRAM } from "./command.ts";
import { bench } from "./commands/bench.ts";
import { chat } from "./commands/chat.ts";
import { doctor } from "./commands/doctor.ts";
import { evaluate } from "./commands/eval.ts";
import { inspect } from "./commands/inspect.ts";
import { perplexity } from "./commands/perplexity.ts";
import { run } from "./commands/run.ts";
import { tokenize } from "./commands/tokenize.ts";
import { errorLine } from "./error-line.ts";
import { packageVersion } from "./model-source.ts";
import { INTERRUPTED, type Terminal } from "./output.ts";

const COMMANDS: readonly Command[] = [run, chat, inspect, tokenize, evaluate, perplexity, bench, doctor];
const DESCRIPTION = "Runs language models in GGUF files, BitNet first; without a model, the story model of this package.";

/** Does what `argv` says; gives the exit code: 0, 1 a run-time error, 2 wrong usage, 130 interrupted. */
export async function main(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = argv;
  const command = COMMANDS.find((candidate) => candidate.name === name);
  try {
    if (command !== undefined && !asksForHelp(rest)) return await command.execute(rest, terminal);
    if (command !== undefined) return print(terminal, await command.help());
    if (name === "--version" || name === "-v") return print(terminal, `${packageVersion()}\n`);
    if (name === undefined || name === "help" || asksForHelp([name]))
      return print(terminal, await help(), name === undefined ? 2 : 0);
    const known = COMMANDS.map((candidate) => candidate.name);
    throw new UsageError(`unknown command '${name}'; must be ${known.join(", ")}${didYouMean(name, known)}`);
  } catch (error) {
    return report(error, command, argv.includes("--debug"), terminal);
  }
}

function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return (end < 0 ? argv : argv.slice(0, end)).some((arg) => arg === "--help" || arg === "-h");
}

function help(): Promise<string> {
  return programHelp(PROGRAM, packageVersion(), DESCRIPTION, COMMANDS);
}

function print(terminal: Terminal, text: string, code = 0): number {
  const stream = code === 0 ? terminal.stdout : terminal.stderr;
  stream.write(stream.isTTY && !process.env["NO_COLOR"] ? text : stripVTControlCharacters(text));
  return code;
}

function report(error: unknown, command: Command | undefined, isDebug: boolean, terminal: Terminal): number {
  if (error instanceof Error && error.name === "AbortError") return INTERRUPTED;
  const isUsage = error instanceof UsageError;
  const see = isUsage ? ` (see ${PROGRAM} ${command === undefined ? "" : `${command.name} `}--help)` : "";
  terminal.stderr.write(`${errorLine(error)}${see}\n`);
  if (isDebug) terminal.stderr.write(`${stack(error)}\n`);
  return isUsage ? 2 : 1;
}

function stack(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = error instanceof LmError ? `[${error.code}] ` : "";
  return `${code}${error.stack}${error.cause === undefined ? "" : `\ncaused by ${stack(error.cause)}`}`;
}
