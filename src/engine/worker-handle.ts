/** One shape for the workers of every platform, as their starter sees them. */
import { BackendError } from "../errors.ts";

export interface WorkerHandle<Out = unknown, In = unknown> {
  post(message: Out, transfer?: readonly ArrayBuffer[]): void;
  onmessage(listener: (message: In) => void): void;
  /** Called when the worker cannot start or dies. */
  onerror(listener: (error: unknown) => void): void;
  terminate(): void;
  /** Node: whether the worker keeps the program alive. */
  ref(): void;
  unref(): void;
}

/** What is used of a `worker_threads` Worker. */
export interface NodeWorker {
  postMessage(message: unknown, transfer?: ArrayBuffer[]): void;
  on(event: string, listener: (...values: unknown[]) => void): unknown;
  terminate(): Promise<number>;
  ref(): void;
  unref(): void;
}

export function nodeHandle<Out, In>(worker: NodeWorker): WorkerHandle<Out, In> {
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer as ArrayBuffer[]),
    onmessage: (listener) => worker.on("message", (message) => listener(message as In)),
    onerror(listener) {
      worker.on("error", listener);
      worker.on("exit", (code) => listener(new BackendError("worker-exit", `engine: the worker ended with code ${code}`)));
    },
    terminate: () => void worker.terminate(),
    ref: () => worker.ref(),
    unref: () => worker.unref(),
  };
}

export function browserHandle<Out, In>(worker: Worker): WorkerHandle<Out, In> {
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer as ArrayBuffer[]),
    onmessage: (listener) => worker.addEventListener("message", (event: MessageEvent<In>) => listener(event.data)),
    onerror: (listener) =>
      worker.addEventListener("error", (event) => listener(workerFailed(event.message || "its script did not load"))),
    terminate: () => worker.terminate(),
    ref: () => {},
    unref: () => {},
  };
}

/** A worker could not be started, or died. */
export function workerFailed(why: string, cause?: unknown): BackendError {
  return new BackendError("worker-failed", `engine: the worker failed: ${why}`, {
    cause,
    hint: "Check workerUrl, the CSP's worker-src and COEP.",
  });
}
