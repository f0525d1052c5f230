/**
 * Templates in a worker of their own that is killed at its deadline. Both sides are here: `handleTemplateRequest` runs in the
 * worker, `TemplateRunner` on the calling side. The engine owns the worker and hands in how to spawn it, so that this file knows
 * neither `Worker` nor `worker_threads`.
 *
 * Protocol: the runner sends `hello`, the worker answers `ready` once its modules are loaded; from then on one `render` at a time,
 * each answered by one `rendered`. The deadline runs from the sending of `render`, so that a slow start is not held against the
 * template.
 */
import { abortError, ConfigError, type ErrorJson, errorFromJson, errorToJson, TemplateError } from "../errors.ts";
import { type ChatTemplateInput, renderChatTemplate } from "./template.ts";

export type TemplateRequest =
  | { readonly type: "hello" }
  | { readonly type: "render"; readonly id: number; readonly template: string; readonly input: ChatTemplateInput };

export type TemplateResponse =
  | { readonly type: "ready" }
  | { readonly type: "rendered"; readonly id: number; readonly text: string }
  | { readonly type: "failed"; readonly id: number; readonly error: ErrorJson };

/** The worker as the runner sees it. */
export interface TemplatePort {
  postMessage(message: TemplateRequest): void;
  onmessage(listener: (message: TemplateResponse) => void): void;
  /** Called when the worker dies or cannot start. */
  onerror(listener: (error: unknown) => void): void;
  terminate(): void;
  /** Node: whether the worker keeps the program alive. */
  ref?(): void;
  unref?(): void;
}

/** The worker's answer to `request`; never throws. */
export function handleTemplateRequest(request: TemplateRequest): TemplateResponse {
  if (request.type === "hello") return { type: "ready" };
  const { id, template, input } = request;
  try {
    return { type: "rendered", id, text: renderChatTemplate(template, input) };
  } catch (error) {
    return { type: "failed", id, error: errorToJson(error) };
  }
}

export interface TemplateRunnerOptions {
  /** How long one render may take. Default 2,000. */
  readonly deadlineMs?: number;
  /** How long the worker may take to load. Default 30,000: a cold start on a loaded machine. */
  readonly startMs?: number;
}

interface LiveWorker {
  readonly port: TemplatePort;
  readonly ready: Promise<void>;
}

/** Renders templates in a worker, one at a time, and outlives the worker. */
export class TemplateRunner {
  readonly #spawn: () => TemplatePort;
  readonly #deadlineMs: number;
  readonly #startMs: number;
  #worker: LiveWorker | null = null;
  /** Settles the request in flight: the worker's answer or its death. */
  #settle: ((outcome: TemplateResponse | Error) => void) | null = null;
  /** The end of the latest request; the next one waits for it. */
  #last: Promise<unknown> = Promise.resolve();
  #nextId = 1;
  #isDisposed = false;

  constructor(spawn: () => TemplatePort, options: TemplateRunnerOptions = {}) {
    this.#spawn = spawn;
    this.#deadlineMs = options.deadlineMs ?? 2000;
    this.#startMs = options.startMs ?? 30_000;
  }

  /**
   * As `renderChatTemplate`, in the worker.
   * @throws TemplateError also `template-timeout` past the deadline, `template-worker` when the worker dies; ConfigError
   * `invalid-template-input` when `input` cannot be sent to a worker; AbortError once disposed
   */
  render(template: string, input: ChatTemplateInput): Promise<string> {
    const result = this.#last.then(() => this.#render(template, input));
    this.#last = result.catch(() => {}); // the caller has the error; the queue only waits
    return result;
  }

  /** Ends the worker; a request in flight fails with AbortError. */
  dispose(): void {
    this.#isDisposed = true;
    this.#kill(abortError("The template runner was disposed"));
  }

  async #render(template: string, input: ChatTemplateInput): Promise<string> {
    if (this.#isDisposed) throw abortError("The template runner was disposed");
    const worker = this.#worker ?? this.#start();
    const id = this.#nextId++;
    worker.port.ref?.();
    try {
      await worker.ready;
      const outcome = this.#outcome(this.#deadlineMs, () => this.#timeout());
      try {
        worker.port.postMessage({ type: "render", id, template, input });
      } catch (cause) {
        this.#settle?.(notCloneable(cause));
      }
      const response = await outcome;
      if (response.type === "rendered" && response.id === id) return response.text;
      if (response.type === "failed" && response.id === id) throw errorFromJson(response.error);
      throw workerError(new Error(`unexpected answer '${response.type}'`));
    } finally {
      if (this.#worker === worker) worker.port.unref?.();
    }
  }

  #start(): LiveWorker {
    const port = spawnPort(this.#spawn);
    const isCurrent = () => this.#worker?.port === port;
    port.onmessage((message) => {
      if (isCurrent()) this.#settle?.(message);
    });
    port.onerror((error) => {
      if (isCurrent()) this.#kill(workerError(error));
    });
    const ready = this.#outcome(this.#startMs, () => workerError(new Error(`not ready after ${this.#startMs} ms`))).then(
      () => {},
    );
    this.#worker = { port, ready };
    port.postMessage({ type: "hello" });
    return this.#worker;
  }

  /** The next answer of the worker; at the time limit the worker is killed and `late()` thrown. */
  #outcome(limitMs: number, late: () => Error): Promise<TemplateResponse> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#kill(late()), limitMs);
      this.#settle = (outcome) => {
        clearTimeout(timer);
        this.#settle = null;
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      };
    });
  }

  #kill(reason: Error): void {
    const worker = this.#worker;
    this.#worker = null;
    worker?.port.terminate();
    this.#settle?.(reason);
  }

  #timeout(): TemplateError {
    return new TemplateError("template-timeout", `template: not rendered after ${this.#deadlineMs} ms`, {
      data: { deadlineMs: this.#deadlineMs },
      hint: "The template loops or is not a chat template.",
    });
  }
}

function spawnPort(spawn: () => TemplatePort): TemplatePort {
  try {
    return spawn();
  } catch (cause) {
    throw workerError(cause);
  }
}

function workerError(cause: unknown): TemplateError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TemplateError("template-worker", `template: the worker failed: ${reason}`, { cause });
}

function notCloneable(cause: unknown): ConfigError {
  return new ConfigError("invalid-template-input", "chat: the template's variables cannot be sent to a worker", {
    hint: "Pass plain data: no functions, symbols or class instances.",
    cause,
  });
}
