/** Entry point of a Node worker thread: as worker.ts, with files. */
import { availableParallelism } from "node:os";
import { parentPort, Worker } from "node:worker_threads";
import { openFileSource } from "../bytes/file.ts";
import type { Port, WorkerRole } from "./protocol.ts";
import { serveRole } from "./roles.ts";
import { nodeHandle } from "./worker-handle.ts";

const parent = parentPort!;

const port: Port<unknown, never> = {
  post: (message, transfer = []) => parent.postMessage(message, transfer as ArrayBuffer[]),
  listen: (listener) => parent.on("message", (message: unknown) => listener(message as never)),
};

parent.once("message", ({ role }: { role: WorkerRole }) => {
  serveRole(role, port, {
    openPath: openFileSource,
    yieldToEvents: () => new Promise((resolve) => setImmediate(resolve)),
    threads: {
      hardwareConcurrency: availableParallelism(),
      unavailable: null,
      spawn() {
        const worker = new Worker(new URL(import.meta.url), { execArgv: [] });
        worker.unref();
        const helper = nodeHandle<unknown, unknown>(worker);
        helper.post({ type: "role", role: "helper" satisfies WorkerRole });
        return helper;
      },
    },
  });
});
