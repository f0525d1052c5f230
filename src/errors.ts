/**
 * The error classes of the engine. One base class with a stable `code`; messages may change, codes are API.
 * A message says what, where, got, allowed; `hint` says what to do. Imports nothing.
 */

/** Plain data that an error carries, safe to clone and to print. */
export type ErrorData = Readonly<Record<string, string | number | boolean | null | readonly (string | number)[]>>;

/** The form in which an error crosses a worker or HTTP border. */
export interface ErrorJson {
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly data: ErrorData;
  readonly cause?: ErrorJson;
}

export interface ErrorOptions {
  readonly data?: ErrorData;
  /** One sentence that tells the reader what to do next. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** Base class of every error that the engine throws on purpose; cancelling is the platform's `AbortError`. */
export class LmError extends Error {
  readonly code: string;
  readonly data: ErrorData;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.data = options.data ?? {};
    this.hint = options.hint;
  }

  toJSON(): ErrorJson {
    return {
      name: this.name,
      code: this.code,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      data: this.data,
      ...(this.cause === undefined ? {} : { cause: errorToJson(this.cause) }),
    };
  }
}

/** A GGUF file that is damaged or breaks the format; `byteOffset` is where. */
export class GgufError extends LmError {
  get byteOffset(): number {
    return this.data["byteOffset"] as number;
  }

  constructor(code: string, message: string, byteOffset: number, options: ErrorOptions = {}) {
    super(code, message, { ...options, data: { ...options.data, byteOffset } });
  }
}

/** A valid input that this engine does not support (architecture, tensor, type, tokenizer, runtime feature). */
export class UnsupportedError extends LmError {}

/** A prompt or a conversation that does not fit: `data.nPrompt` tokens against `data.nCtx`. */
export class ContextOverflowError extends LmError {}

/** A compute backend failed: out of memory, a dead worker, a lost device, a failed self-test. */
export class BackendError extends LmError {}

/** A source could not be read: HTTP status, lost connection, missing file. */
export class NetworkError extends LmError {}

/** A chat template that does not parse, fails, or exceeds its limits. */
export class TemplateError extends LmError {}

/** A grammar or schema that cannot be compiled. */
export class GrammarError extends LmError {}

/** An option or argument with a value that is not allowed. */
export class ConfigError extends LmError {}

const CLASSES: Readonly<Record<string, (json: ErrorJson, options: ErrorOptions) => LmError>> = {
  GgufError: (json, options) => new GgufError(json.code, json.message, json.data["byteOffset"] as number, options),
  UnsupportedError: (json, options) => new UnsupportedError(json.code, json.message, options),
  ContextOverflowError: (json, options) => new ContextOverflowError(json.code, json.message, options),
  BackendError: (json, options) => new BackendError(json.code, json.message, options),
  NetworkError: (json, options) => new NetworkError(json.code, json.message, options),
  TemplateError: (json, options) => new TemplateError(json.code, json.message, options),
  GrammarError: (json, options) => new GrammarError(json.code, json.message, options),
  ConfigError: (json, options) => new ConfigError(json.code, json.message, options),
};

/** Any thrown value as plain data; errors of other kinds get code `internal`, an abort `abort`. */
export function errorToJson(error: unknown): ErrorJson {
  if (error instanceof LmError) return error.toJSON();
  if (error instanceof Error) {
    const code = error.name === "AbortError" ? "abort" : "internal";
    return { name: error.name, code, message: error.message, data: {} };
  }
  return { name: "Error", code: "internal", message: String(error), data: {} };
}

/** The error that `json` was made of: same class, code, message, hint and data. */
export function errorFromJson(json: ErrorJson): Error {
  const options: ErrorOptions = {
    data: json.data,
    hint: json.hint,
    ...(json.cause === undefined ? {} : { cause: errorFromJson(json.cause) }),
  };
  if (json.code === "abort") return abortError(json.message);
  const make = CLASSES[json.name];
  return make === undefined ? new LmError(json.code, json.message, options) : make(json, options);
}

/** The platform's cancellation error. */
export function abortError(message = "The operation was aborted"): Error {
  return new DOMException(message, "AbortError");
}
