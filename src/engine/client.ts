/**
 * The caller's side of the protocol: requests as promises, events as callbacks, cancelling by signal, and the death of the worker as an
 * error of every request. In Node the worker keeps the program alive only while a request runs.
 */
import type { ByteSource } from "../bytes/byte-source.ts";
import { BackendError, errorFromJson, errorToJson } from "../errors.ts";
import type { CallerMessage, Method, Methods, WorkerMessage } from "./protocol.ts";
import type { WorkerHandle } from "./worker-handle.ts";

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  onEvent(event: unknown): void;
}

export interface CallOptions<E> {
  readonly onEvent?: (event: E) => void;
  /** Cancels the request; how it ends is the method's matter. */
  readonly signal?: AbortSignal | undefined;
}

export class EngineClient {
  readonly #worker: WorkerHandle<CallerMessage, WorkerMessage>;
  readonly #remote: ByteSource | null;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #death: Error | null = null;

  constructor(worker: WorkerHandle<CallerMessage, WorkerMessage>, remote: ByteSource | null) {
    this.#worker = worker;
    this.#remote = remote;
    worker.onmessage((message) => this.#receive(message));
    worker.onerror((cause) => {
      this.#die(
        cause instanceof BackendError
          ? cause
          : new BackendError("worker-failed", `engine: the worker failed: ${String(cause)}`, { cause }),
      );
    });
  }

  call<M extends Method>(
    method: M,
    params: Methods[M]["params"],
    options: CallOptions<Methods[M]["event"]> = {},
  ): Promise<Methods[M]["result"]> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (this.#death !== null) {
        reject(this.#death);
        return;
      }
      const id = this.#nextId++;
      const cancel = () => this.#worker.post({ type: "cancel", id });
      const settle = () => {
        signal?.removeEventListener("abort", cancel);
        this.#pending.delete(id);
        if (this.#pending.size === 0) this.#worker.unref();
      };
      this.#pending.set(id, {
        resolve: (value) => {
          settle();
          resolve(value as Methods[M]["result"]);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
        onEvent: (event) => options.onEvent?.(event as Methods[M]["event"]),
      });
      this.#worker.ref();
      this.#worker.post({ type: "request", id, method, params, isCancelled: signal?.aborted ?? false });
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  /** Ends the worker; requests in flight fail with `reason`. Idempotent. */
  terminate(reason: Error): void {
    this.#die(reason);
  }

  #die(reason: Error): void {
    if (this.#death !== null) return;
    this.#death = reason;
    this.#worker.terminate();
    for (const pending of [...this.#pending.values()]) pending.reject(reason);
  }

  #receive(message: WorkerMessage): void {
    switch (message.type) {
      case "event":
        this.#pending.get(message.id)?.onEvent(message.event);
        return;
      case "result":
        this.#pending.get(message.id)?.resolve(message.value);
        return;
      case "error":
        this.#pending.get(message.id)?.reject(errorFromJson(message.error));
        return;
      case "read":
        void this.#read(message.read, message.offset, message.length);
        return;
      default:
        throw new Error(message satisfies never);
    }
  }

  async #read(read: number, offset: number, length: number): Promise<void> {
    let answer: CallerMessage;
    let transfer: ArrayBuffer[] = [];
    try {
      const bytes = await this.#remote!.read(offset, length);
      answer = { type: "bytes", read, bytes, error: null };
      // only a buffer that holds nothing else may move to the worker
      if (bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength) transfer = [bytes.buffer];
    } catch (error) {
      answer = { type: "bytes", read, bytes: null, error: errorToJson(error) };
    }
    if (this.#death === null) this.#worker.post(answer, transfer);
  }
}
