/**
 * Starts workers. The browser's URL is one literal that bundlers follow; Node's is built from variables, so that no bundler does. A
 * Node worker keeps the program alive only while a request runs.
 */
import { BackendError } from "../errors.ts";
import type { CallerMessage, WorkerMessage, WorkerRole } from "./protocol.ts";
import { isNode } from "./source.ts";

/** A running worker, whatever the platform. */
export interface WorkerHandle<Out = CallerMessage, In = WorkerMessage> {
  post(message: Out, transfer?: readonly ArrayBuffer[]): void;
  onmessage(listener: (message: In) => void): void;
  /** Called once when the worker cannot start or dies. */
  onerror(listener: (error: unknown) => void): void;
  terminate(): void;
  ref(): void;
  unref(): void;
}

export interface SpawnOptions {
  /** Where the worker's script is, for pages whose bundler does not move it. */
  readonly workerUrl?: string | URL | undefined;
}

/** Starts a worker in `role`. @throws BackendError `no-workers` where the runtime has none. */
export function spawnWorker<Out, In>(role: WorkerRole, options: SpawnOptions): WorkerHandle<Out, In> {
  const handle = isNode() ? spawnNode<Out, In>(options) : spawnBrowser<Out, In>(options);
  handle.post({ type: "role", role } as Out);
  return handle;
}

function spawnNode<Out, In>(options: SpawnOptions): WorkerHandle<Out, In> {
  const { Worker: NodeWorker } = process.getBuiltinModule("node:worker_threads");
  const here = import.meta.url;
  const file = here.endsWith(".ts") ? "./node-worker.ts" : "./node-worker.js";
  // not the program's own flags: `--input-type` and `--eval`, for one, make no sense for a file
  const worker = new NodeWorker(options.workerUrl === undefined ? new URL(file, here) : new URL(options.workerUrl), {
    execArgv: [],
  });
  worker.unref();
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer as ArrayBuffer[]),
    onmessage: (listener) => worker.on("message", listener),
    onerror(listener) {
      worker.on("error", listener);
      worker.on("exit", (code) => listener(new BackendError("worker-exit", `engine: the worker ended with code ${code}`)));
    },
    terminate: () => void worker.terminate(),
    ref: () => worker.ref(),
    unref: () => worker.unref(),
  };
}

function spawnBrowser<Out, In>(options: SpawnOptions): WorkerHandle<Out, In> {
  if (typeof Worker === "undefined") throw new BackendError("no-workers", "engine: this runtime has no Worker");
  const worker = startBrowser(options);
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

function startBrowser(options: SpawnOptions): Worker {
  try {
    return options.workerUrl === undefined
      ? new Worker(new URL("./worker.js", import.meta.url), { type: "module" })
      : new Worker(options.workerUrl, { type: "module" });
  } catch (cause) {
    // another origin, or no URL at all
    throw workerFailed(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function workerFailed(why: string, cause?: unknown): BackendError {
  return new BackendError("worker-failed", `engine: the worker failed: ${why}`, {
    cause,
    hint: "Check workerUrl, the CSP's worker-src and COEP.",
  });
}
