/**
 * The package's interpreter with a budget: it counts steps, bounds what a single expression may produce and remembers the
 * innermost construct of a failure. The limits keep an in-process render from running away; the worker's deadline
 * (template-host.ts) is what stops everything else.
 */
import { type Environment, Interpreter } from "@huggingface/jinja";
import { TemplateError } from "../errors.ts";

type Node = NonNullable<Parameters<Interpreter["evaluate"]>[0]>;
type Value = ReturnType<Interpreter["evaluate"]>;

/** 50 million evaluations are some seconds; a conversation of a thousand turns takes under a million. */
const MAX_STEPS = 50_000_000;
/** Longest text, in UTF-16 units: 16 Mi; about four million tokens. */
export const MAX_OUTPUT_CHARS = 2 ** 24;
const MAX_ITEMS = 1_000_000;
/**
 * Nested evaluations: known templates reach 39, and 1,000 overflow V8's stack. A limit of our own, because the package takes a
 * stack overflow during a look-up for an undefined variable.
 */
const MAX_DEPTH = 300;

/** Evaluates within limits. @throws TemplateError `template-limit`, `template-too-deep` */
export class BoundedInterpreter extends Interpreter {
  readonly #maxSteps: number;
  #steps = 0;
  #depth = 0;
  /** What `for` runs over: evaluating it costs a step per turn. */
  readonly #iterables = new WeakSet<object>();
  /** Innermost construct in which an error arose. */
  readonly #origins = new WeakMap<object, string>();

  constructor(environment: Environment, maxSteps = MAX_STEPS) {
    super(environment);
    this.#maxSteps = maxSteps;
  }

  /** The construct in which `error` arose, in words; null if unknown. */
  originOf(error: unknown): string | null {
    return typeof error === "object" && error !== null ? (this.#origins.get(error) ?? null) : null;
  }

  override evaluate(node: Node | undefined, environment: Environment): Value {
    if (node === undefined) return super.evaluate(node, environment);
    if (++this.#steps > this.#maxSteps) throw limitError("steps", this.#maxSteps);
    if (node.type === "For") this.#iterables.add(iterableOf(node));
    if (++this.#depth > MAX_DEPTH) throw tooDeepError();
    let result: Value;
    try {
      result = super.evaluate(node, environment);
    } catch (error) {
      // Only annotates: which construct was innermost is lost once the error has left.
      if (typeof error === "object" && error !== null && !this.#origins.has(error)) this.#origins.set(error, describeNode(node));
      throw error;
    } finally {
      this.#depth--;
    }
    const value: unknown = result.value;
    if (typeof value === "string" && value.length > MAX_OUTPUT_CHARS) throw limitError("characters", MAX_OUTPUT_CHARS);
    if (Array.isArray(value)) {
      if (value.length > MAX_ITEMS) throw limitError("items", MAX_ITEMS);
      if (this.#iterables.has(node)) this.#steps += value.length;
    }
    return result;
  }
}

/** A budget that is used up: `data.limit` names it. */
export function limitError(limit: string, max: number): TemplateError {
  return new TemplateError("template-limit", `template: rendering takes more than ${max} ${limit}`, {
    data: { limit, max },
    hint: "The template runs away or is not a chat template.",
  });
}

/** Nesting that would overflow the stack, or has. */
export function tooDeepError(cause?: unknown): TemplateError {
  return new TemplateError("template-too-deep", "template: blocks, expressions or values are nested too deeply", { cause });
}

function iterableOf(node: Node): object {
  const { iterable } = node as Node & { iterable: Node & { lhs?: Node } };
  return iterable.type === "SelectExpression" && iterable.lhs !== undefined ? iterable.lhs : iterable;
}

/** A node as a reader of the template would name it, e.g. "filter 'upper'". */
function describeNode(node: Node): string {
  const part = (key: string): string => {
    const child = (
      node as unknown as Record<string, { value?: unknown; callee?: { value?: unknown }; property?: { value?: unknown } }>
    )[key];
    const name = child?.value ?? child?.callee?.value ?? child?.property?.value;
    return typeof name === "string" ? `'${name}'` : "";
  };
  switch (node.type) {
    case "FilterExpression":
    case "FilterStatement":
      return `filter ${part("filter")}`;
    case "TestExpression":
      return `test ${part("test")}`;
    case "CallExpression":
      return `call of ${part("callee") || "an expression"}`;
    case "MemberExpression":
      return `member ${part("property") || "access"}`;
    case "BinaryExpression":
    case "UnaryExpression":
      return `operator ${part("operator")}`;
    case "Identifier":
      return `name '${String((node as Node & { value?: unknown }).value)}'`;
    case "For":
      return "{% for %}";
    case "Set":
      return "{% set %}";
    case "Macro":
      return "{% macro %}";
    default:
      return node.type;
  }
}
