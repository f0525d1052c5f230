/**
 * Flags: how they are declared, read from the command line, and shown. Reading is strict, which citty's own parser is not: an unknown
 * flag, a missing value or a value of the wrong kind is wrong usage. citty renders the help from the same declarations.
 */
import { type ArgsDef, renderUsage } from "citty";

/** The caller misused the command line: one line that says what, got, allowed. Exit code 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** A flag without a value. */
export interface SwitchFlag {
  readonly kind: "switch";
  readonly long: string;
  readonly short?: string;
  readonly description: string;
}

/** A flag with a value; of a `list` every occurrence counts, else the last one. */
export interface ValueFlag<T, K extends "value" | "list" = "value"> {
  readonly kind: K;
  readonly long: string;
  readonly short?: string;
  /** Shown behind the flag in the help. */
  readonly hint: string;
  readonly description: string;
  /** Completes "must be …". */
  readonly allowed: string;
  /** Undefined where `text` is not allowed. */
  parse(text: string): T | undefined;
}

type Flag = SwitchFlag | ValueFlag<unknown> | ValueFlag<unknown, "list">;
export type Flags = Readonly<Record<string, Flag>>;

/** What the command line says: a flag that was not given is undefined, a switch false, a list empty. */
export type Values<F extends Flags> = {
  readonly [N in keyof F]: F[N] extends SwitchFlag
    ? boolean
    : F[N] extends ValueFlag<infer T, "list">
      ? readonly T[]
      : F[N] extends ValueFlag<infer T>
        ? T | undefined
        : never;
};

interface Naming {
  readonly long: string;
  readonly short?: string;
  readonly hint: string;
  readonly description: string;
}

export function toggle(naming: Omit<Naming, "hint">): SwitchFlag {
  return { kind: "switch", ...naming };
}

export function text(naming: Naming): ValueFlag<string> {
  return { kind: "value", ...naming, allowed: "a text", parse: (value) => value };
}

export function texts(naming: Naming): ValueFlag<string, "list"> {
  return { kind: "list", ...naming, allowed: "a text that is not empty", parse: (value) => (value === "" ? undefined : value) };
}

/** A whole number of at least `min`. */
export function integer(naming: Naming, min: number): ValueFlag<number> {
  return { kind: "value", ...naming, allowed: `a whole number of at least ${min}`, parse: (value) => wholeNumber(value, min) };
}

/** A decimal number that `isAllowed` takes. */
export function real(naming: Naming, allowed: string, isAllowed: (value: number) => boolean): ValueFlag<number> {
  return {
    kind: "value",
    ...naming,
    allowed,
    parse(value) {
      if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value)) return undefined;
      const number = Number(value);
      return Number.isFinite(number) && isAllowed(number) ? number : undefined;
    },
  };
}

export function choice<const T extends string>(naming: Omit<Naming, "hint">, values: readonly T[]): ValueFlag<T> {
  return {
    kind: "value",
    ...naming,
    hint: values.join("|"),
    allowed: values.join(", "),
    parse: (value) => values.find((allowed) => allowed === value),
  };
}

/** Ids separated by commas. */
export function tokenIds(naming: Naming): ValueFlag<readonly number[]> {
  return {
    kind: "value",
    ...naming,
    allowed: "whole numbers separated by commas, such as 1,2,3",
    parse(value) {
      const ids = value.split(",").map((id) => wholeNumber(id.trim(), 0));
      return ids.every((id) => id !== undefined) ? ids : undefined;
    },
  };
}

/** `auto` or a whole number of at least 1. */
export function autoOrCount(naming: Naming): ValueFlag<"auto" | number> {
  return {
    kind: "value",
    ...naming,
    allowed: "auto or a whole number of at least 1",
    parse: (value) => (value === "auto" ? "auto" : wholeNumber(value, 1)),
  };
}

/** Undefined unless `text` is a whole number of at least `min`. */
export function wholeNumber(text: string, min: number): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) && value >= min ? value : undefined;
}

/**
 * Reads `argv` by `flags`. `--name value` and `--name=value` are the same; a value may begin with a dash unless it spells a flag of
 * this command; `--` ends the flags.
 * @throws UsageError
 */
export function parseFlags<F extends Flags>(argv: readonly string[], flags: F): { values: Values<F>; positionals: string[] } {
  const bySpelling = spellings(flags);
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(flags))
    values[name] = flag.kind === "switch" ? false : flag.kind === "list" ? [] : undefined;
  const positionals: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i]!;
    if (arg === "--") {
      positionals.push(...argv.slice(i + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      positionals.push(arg);
      continue;
    }
    const equals = arg.startsWith("--") ? arg.indexOf("=") : -1;
    const spelled = equals < 0 ? arg : arg.slice(0, equals);
    const name = bySpelling.get(spelled);
    if (name === undefined) throw new UsageError(`unknown flag '${spelled}'${didYouMean(spelled, [...bySpelling.keys()])}`);
    const flag = flags[name]!;
    if (flag.kind === "switch") {
      if (equals >= 0) throw new UsageError(`${spelled} takes no value; got '${arg.slice(equals + 1)}'`);
      values[name] = true;
      continue;
    }
    let given: string | undefined = arg.slice(equals + 1);
    if (equals < 0) {
      given = argv[++i];
      if (given === undefined || bySpelling.has(given.replace(/=.*$/s, ""))) {
        throw new UsageError(`${spelled} has no value; must be ${flag.allowed}`);
      }
    }
    const value = flag.parse(given);
    if (value === undefined) throw new UsageError(`${spelled} is '${given}'; must be ${flag.allowed}`);
    values[name] = flag.kind === "list" ? [...(values[name] as unknown[]), value] : value;
  }
  return { values: values as Values<F>, positionals };
}

function spellings(flags: Flags): Map<string, string> {
  const map = new Map<string, string>();
  for (const [name, flag] of Object.entries(flags)) {
    map.set(`--${flag.long}`, name);
    if (flag.short !== undefined) map.set(`-${flag.short}`, name);
  }
  return map;
}

/** `; did you mean '…'?` where one of `known` is at most two edits away, and fewer than the word has letters. */
export function didYouMean(word: string, known: readonly string[]): string {
  const [best] = known
    .map((candidate) => ({ candidate, distance: editDistance(word, candidate) }))
    .filter(({ candidate, distance }) => distance <= 2 && distance < candidate.replace(/^-+/, "").length)
    .sort((a, b) => a.distance - b.distance);
  return best === undefined ? "" : `; did you mean '${best.candidate}'?`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

/** What a help page shows. */
export interface HelpPage {
  readonly name: string;
  readonly description: string;
  readonly flags: Flags;
  /** Shown behind the flags. */
  readonly notes: string;
}

/** The help of one command, coloured. */
export async function commandHelp(page: HelpPage, program: string, modelDescription: string): Promise<string> {
  const args: ArgsDef = { MODEL: { type: "positional", required: false, description: modelDescription } };
  for (const flag of Object.values(page.flags)) {
    const { long, short, description } = flag;
    const alias = short === undefined ? {} : { alias: short };
    if (flag.kind === "switch") args[long] = { type: "boolean", description, ...alias };
    else args[long] = { type: "string", description, valueHint: flag.hint, ...alias };
  }
  const usage = await renderUsage(
    { meta: { name: page.name, description: page.description }, args },
    { meta: { name: program } },
  );
  return tidy(`${usage}\n${page.notes}`);
}

/** The help of the program: its commands. */
export async function programHelp(
  program: string,
  version: string,
  description: string,
  pages: readonly HelpPage[],
): Promise<string> {
  const subCommands = Object.fromEntries(
    pages.map((page) => [page.name, { meta: { name: page.name, description: page.description } }]),
  );
  return tidy(await renderUsage({ meta: { name: program, version, description }, subCommands }));
}

/** Ends in one newline; no line in spaces. */
function tidy(usage: string): string {
  return `${usage.replace(/ +$/gm, "").trimEnd()}\n`;
}
