/** Which model a command works on: the one named, or the one that is delivered with the package. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { UsageError } from "./args.ts";

/** The sources lie two folders below the package, the bundle one: `dist/` is flat. */
const root = new URL(import.meta.url.endsWith(".ts") ? "../../" : "../", import.meta.url);

/** Path of the model that comes with the package. */
export const BUNDLED_MODEL = fileURLToPath(new URL("models/stories-4m-i2_s.gguf", root));

/** The version in package.json. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as { version: string }).version;
}

/** @throws UsageError where two models are named */
export function resolveModel(positionals: readonly string[], flag: string | undefined): string {
  const named = flag === undefined ? positionals : [...positionals, flag];
  if (named.length > 1) {
    throw new UsageError(
      `one model is taken, got ${named.length}: ${named.join(", ")}; a text with spaces needs quotes, a prompt -p`,
    );
  }
  return named[0] ?? BUNDLED_MODEL;
}
