/** Errors as the one line that a person reads. */
import { LmError } from "../errors.ts";
import { PROGRAM } from "./command.ts";
import { oneLine } from "./output.ts";

/** `bitnet: what, where, got, allowed (what to do next)` */
export function errorLine(error: unknown): string {
  const message = error instanceof LmError || (error instanceof Error && error.name === "UsageError") ? error.message : `unexpected: ${describe(error)}`;
  const hint = error instanceof LmError && error.hint !== undefined ? ` (${error.hint.replace(/\.$/, "")})` : "";
  return oneLine(`${PROGRAM}: ${message}${hint}`);
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.message} (--debug shows where)` : String(error);
}
