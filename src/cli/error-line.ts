/** Errors as the one line that a person reads. */
import { ContextOverflowError, LmError } from "../errors.ts";
import { PROGRAM } from "./command.ts";
import { oneLine } from "./output.ts";

/** `bitnet: what, where, got, allowed (what to do next)` */
export function errorLine(error: unknown): string {
  const message =
    error instanceof LmError || (error instanceof Error && error.name === "UsageError")
      ? error.message
      : `unexpected: ${describe(error)}`;
  const hint = hintOf(error);
  return oneLine(`${PROGRAM}: ${message}${hint === undefined ? "" : ` (${hint.replace(/\.$/, "")})`}`);
}

/** What to do next; options of the library are named by their flags. */
function hintOf(error: unknown): string | undefined {
  if (error instanceof ContextOverflowError) return "Shorten the prompt, or give a larger -c";
  return error instanceof LmError ? error.hint : undefined;
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.message} (--debug shows where)` : String(error);
}
