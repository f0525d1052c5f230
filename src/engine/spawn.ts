/**
 * Starts workers. The browser's URL is one literal that bundlers follow; Node's is built from variables, so that no bundler does. A
 * Node worker keeps the program alive only while a request runs.
 */
import { BackendError } from "../errors.ts";
import type { CallerMessage, WorkerMessage, WorkerRole } from "./protocol.ts";
import { isNode } from "./source.ts";
import { browserHandle, nodeHandle, type WorkerHandle, workerFailed } from "./worker-handle.ts";

export interface SpawnOptions {
  /** Where the worker's script is, for pages whose bundler does not move it. */
  readonly workerUrl?: string | URL | undefined;
}

/** Starts a worker in `role`. @throws BackendError `no-workers` where the runtime has none. */
export function spawnWorker<Out = CallerMessage, In = WorkerMessage>(
  role: WorkerRole,
  options: SpawnOptions,
): WorkerHandle<Out, In> {
  const handle = isNode() ? spawnNode<Out, In>(options) : spawnBrowser<Out, In>(options);
  handle.post({ type: "role", role } as Out);
  return handle;
}

function spawnNode<Out, In>(options: SpawnOptions): WorkerHandle<Out, In> {
  const { Worker: NodeWorker } = process.getBuiltinModule("node:worker_threads");
  const here = import.meta.url;
  const file = here.endsWith(".ts") ? "./node-worker.ts" : "./node-worker.js";
  const url = options.workerUrl === undefined ? new URL(file, here) : new URL(options.workerUrl);
  // not the program's own flags: `--input-type` and `--eval`, for one, make no sense for a file
  const worker = new NodeWorker(url, { execArgv: [] });
  worker.unref();
  return nodeHandle(worker);
}

function spawnBrowser<Out, In>(options: SpawnOptions): WorkerHandle<Out, In> {
  if (typeof Worker === "undefined") throw new BackendError("no-workers", "engine: this runtime has no Worker");
  try {
    return browserHandle(
      options.workerUrl === undefined
        ? new Worker(new URL("./worker.js", import.meta.url), { type: "module" })
        : new Worker(options.workerUrl, { type: "module" }),
    );
  } catch (cause) {
    // another origin, or no URL at all
    throw workerFailed(cause instanceof Error ? cause.message : String(cause), cause);
  }
}
