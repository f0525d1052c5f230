/**
 * Renders chat templates (Jinja) in this thread, with `@huggingface/jinja` 0.5.11 as the language. Templates come out of model
 * files and are hostile: size, output and steps are bounded and every failure is a TemplateError. Hosts render through
 * template-host.ts, whose worker can be killed.
 *
 * Environment: as Hugging Face tokenizers set up Python's Jinja2 (huggingface/transformers, src/transformers/utils/
 * chat_template_utils.py): trim_blocks, lstrip_blocks, no autoescape, `tojson` without HTML or ASCII escapes, `raise_exception`,
 * `strftime_now`. Where the package's language differs from Jinja2's, its result stands.
 */
import { Environment, parse, tokenize } from "@huggingface/jinja";
import { TemplateError } from "../errors.ts";
import type { ChatMessage, ToolDefinition } from "./messages.ts";
import { strftime } from "./strftime.ts";
import { BoundedInterpreter, limitError, MAX_OUTPUT_CHARS, tooDeepError } from "./template-interpreter.ts";
import { findFault, lineOfOnly } from "./template-scan.ts";

/** What a template is rendered with. Other keys are variables of the template, e.g. `enable_thinking`, and win over these. */
export interface ChatTemplateInput {
  readonly messages: readonly ChatMessage[];
  /** Default none. */
  readonly tools?: readonly ToolDefinition[] | null | undefined;
  /** Ends with the beginning of the assistant's turn. Default false. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Text of the tokens; undefined in the template where not given. */
  readonly bosToken?: string | null | undefined;
  readonly eosToken?: string | null | undefined;
  /** The clock of `strftime_now`, in local time. Default the present. */
  readonly now?: Date | undefined;
  readonly [variable: string]: unknown;
}

/** Longest template, in UTF-16 units: the largest known is 16 K. */
const MAX_TEMPLATE_CHARS = 2 ** 20;
/** Longest run of white space: the package's lexer takes quadratic time in it; indentation stays below 200. */
const MAX_BLANK_RUN = 2048;
/** As in Jinja2's sandbox. */
const MAX_RANGE = 100_000;

/** What `raise_exception` throws inside the interpreter. */
class Raised extends Error {}

/**
 * The text that `template` makes of `input`.
 * @throws TemplateError `template-parse` {line, construct}, `template-render` {line, construct}, `template-raised` with the
 * template's own message, `template-too-deep`, `template-limit`
 */
export function renderChatTemplate(template: string, input: ChatTemplateInput): string {
  if (typeof template !== "string") {
    throw new TemplateError("template-parse", `template: got ${String(template)}; must be a string`, {
      hint: "The model's file carries no chat template; pass one.",
    });
  }
  if (template.length > MAX_TEMPLATE_CHARS) throw limitError("characters of template", MAX_TEMPLATE_CHARS);
  if (hasLongBlankRun(template)) throw limitError("blanks in a row", MAX_BLANK_RUN);
  const program = parseTemplate(template);
  const environment = new Environment();
  const interpreter = new BoundedInterpreter(environment);
  let text: unknown;
  try {
    declareVariables(environment, input);
    text = interpreter.run(program).value;
  } catch (error) {
    throw renderError(template, error, interpreter.originOf(error));
  }
  if (typeof text !== "string" || text.length > MAX_OUTPUT_CHARS) throw limitError("characters", MAX_OUTPUT_CHARS);
  return text;
}

function parseTemplate(template: string): ReturnType<typeof parse> {
  const parseText = (text: string) => parse(tokenize(text, { trim_blocks: true, lstrip_blocks: true }));
  try {
    return parseText(template);
  } catch (error) {
    if (isStackOverflow(error)) throw tooDeepError(error);
    const { line, construct, reason } = findFault(template, error, (piece) => {
      try {
        parseText(piece);
        return null;
      } catch (refusal) {
        return refusal instanceof SyntaxError ? refusal.message : "it ends too early"; // the package reads past its tokens' end
      }
    });
    const where = line === null ? "" : ` at line ${line}`;
    throw new TemplateError("template-parse", `template: ${construct}${where} does not parse: ${reason}`, {
      data: { line, construct },
      cause: error,
    });
  }
}

function declareVariables(environment: Environment, input: ChatTemplateInput): void {
  const { messages, tools, addGenerationPrompt, bosToken, eosToken, now, ...variables } = input;
  const clock = now ?? new Date();
  const values: Record<string, unknown> = {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range: boundedRange,
    raise_exception: (message: unknown) => {
      throw new Raised(typeof message === "string" ? message : String(message ?? ""));
    },
    strftime_now: (format: unknown) => strftime(clock, String(format)),
    messages,
    tools: tools ?? null,
    documents: null,
    add_generation_prompt: addGenerationPrompt ?? false,
  };
  if (typeof bosToken === "string") values["bos_token"] = bosToken;
  if (typeof eosToken === "string") values["eos_token"] = eosToken;
  for (const [name, value] of [...Object.entries(values), ...Object.entries(variables)]) {
    environment.variables.delete(name);
    environment.set(name, value);
  }
}

/** Python's range, at most MAX_RANGE long. */
function boundedRange(start: number, stop?: number, step?: number): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  const by = step ?? 1;
  if (![from, to, by].every(Number.isInteger)) throw new Error("range() takes whole numbers");
  if (by === 0) throw new Error("range() step must not be zero");
  const n = Math.max(0, Math.ceil((to - from) / by));
  if (n > MAX_RANGE) throw limitError("items of range()", MAX_RANGE);
  return Array.from({ length: n }, (_, i) => from + i * by);
}

function renderError(template: string, error: unknown, construct: string | null): TemplateError {
  if (error instanceof TemplateError) return error;
  if (error instanceof Raised) return new TemplateError("template-raised", error.message);
  if (error instanceof RangeError && /(string|array) length/i.test(error.message))
    return limitError("characters", MAX_OUTPUT_CHARS);
  if (isStackOverflow(error)) return tooDeepError(error);
  const name = construct === null ? null : /'(\w+)'/.exec(construct);
  const line = name === null ? null : lineOfOnly(template, new RegExp(`\\b${name[1]}\\b`));
  const reason = error instanceof Error ? error.message : String(error);
  const where = line === null ? "" : ` at line ${line}`;
  return new TemplateError("template-render", `template: ${construct ?? "rendering"}${where} failed: ${reason}`, {
    data: { line, construct },
    cause: error,
  });
}

/** V8 and JavaScriptCore throw a RangeError for other reasons too; SpiderMonkey an InternalError, for this one only. */
function isStackOverflow(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "InternalError" || (error instanceof RangeError && error.message.includes("call stack"));
}

function hasLongBlankRun(template: string): boolean {
  let run = 0;
  for (let i = 0; i < template.length; i++) {
    const code = template.charCodeAt(i);
    const isBlank = code <= 0x20 || (code >= 0x80 && /\s/.test(template[i]!));
    run = isBlank ? run + 1 : 0;
    if (run > MAX_BLANK_RUN) return true;
  }
  return false;
}
