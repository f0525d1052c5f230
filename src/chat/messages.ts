/**
 * The messages and tools of a conversation, in the shape that chat templates and OpenAI's API share. Keys keep their snake_case:
 * templates read them by these names. Fields that are not listed pass through to the template.
 */
import { ConfigError } from "../errors.ts";

/** A piece of a message's content; text is `{type: "text", text}`. */
export interface ContentPart {
  readonly type: string;
  readonly text?: string;
  readonly [field: string]: unknown;
}

/** A call that the assistant made. */
export interface ToolCall {
  readonly id?: string;
  readonly type?: "function";
  readonly function: {
    readonly name: string;
    /** An object, or its JSON text; templates differ in what they take. */
    readonly arguments: unknown;
  };
  readonly [field: string]: unknown;
}

/** One turn of a conversation. */
export interface ChatMessage {
  /** Usually system, user, assistant or tool. */
  readonly role: string;
  /** May be null or missing where `tool_calls` stand in its place. */
  readonly content?: string | readonly ContentPart[] | null;
  readonly name?: string;
  readonly tool_calls?: readonly ToolCall[];
  readonly tool_call_id?: string;
  readonly reasoning_content?: string;
  readonly [field: string]: unknown;
}

/** A function that the model may call; `parameters` is a JSON Schema. */
export interface ToolDefinition {
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly description?: string;
    readonly parameters?: unknown;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/**
 * Checks a conversation that comes from outside.
 * @throws ConfigError `invalid-messages`
 */
export function validateMessages(messages: unknown): asserts messages is readonly ChatMessage[] {
  if (!Array.isArray(messages)) throw invalid("messages", describe(messages), "an array of {role, content}");
  if (messages.length === 0) throw invalid("messages", "an empty array", "at least one message");
  for (const [i, message] of (messages as unknown[]).entries()) {
    const where = `messages[${i}]`;
    if (!isRecord(message)) throw invalid(where, describe(message), "an object {role, content}");
    if (typeof message["role"] !== "string" || message["role"] === "") {
      throw invalid(`${where}.role`, describe(message["role"]), "a non-empty string such as 'user'");
    }
    validateContent(message, where);
  }
}

/**
 * Checks tool definitions that come from outside; null and undefined mean none.
 * @throws ConfigError `invalid-messages`
 */
export function validateTools(tools: unknown): asserts tools is readonly ToolDefinition[] | null | undefined {
  if (tools === undefined || tools === null) return;
  if (!Array.isArray(tools)) throw invalid("tools", describe(tools), "an array of {type: 'function', function}");
  for (const [i, tool] of (tools as unknown[]).entries()) {
    const definition = isRecord(tool) ? tool["function"] : undefined;
    if (!isRecord(tool) || tool["type"] !== "function" || !isRecord(definition) || typeof definition["name"] !== "string") {
      throw invalid(`tools[${i}]`, describe(tool), "{type: 'function', function: {name, description, parameters}}");
    }
  }
}

function validateContent(message: Readonly<Record<string, unknown>>, where: string): void {
  const content = message["content"];
  if (typeof content === "string") return;
  if (content === undefined || content === null) {
    const calls = message["tool_calls"];
    if (Array.isArray(calls) && calls.length > 0) return;
  }
  if (!Array.isArray(content)) {
    throw invalid(`${where}.content`, describe(content), "a string or an array of parts; null only beside tool_calls");
  }
  for (const [j, part] of (content as unknown[]).entries()) {
    const isText = isRecord(part) && part["type"] === "text";
    if (!isRecord(part) || typeof part["type"] !== "string" || (isText && typeof part["text"] !== "string")) {
      throw invalid(`${where}.content[${j}]`, describe(part), "a part such as {type: 'text', text}");
    }
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "string") return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

function invalid(where: string, got: string, allowed: string): ConfigError {
  return new ConfigError("invalid-messages", `chat: ${where} is ${got}; must be ${allowed}`, { data: { where, got, allowed } });
}
