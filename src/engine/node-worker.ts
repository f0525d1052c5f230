/** Entry point of a Node worker thread: as worker.ts, with files. */
import { parentPort } from "node:worker_threads";
import { openFileSource } from "../bytes/file.ts";
import { handleTemplateRequest, type TemplateRequest } from "../chat/template-host.ts";
import { serveEngine } from "./host.ts";
import type { CallerMessage, Port, WorkerMessage } from "./protocol.ts";

const parent = parentPort!;

parent.once("message", ({ role }: { role: string }) => {
  if (role === "template") {
    parent.on("message", (request: TemplateRequest) => parent.postMessage(handleTemplateRequest(request)));
    return;
  }
  const port: Port<WorkerMessage, CallerMessage> = {
    post: (message, transfer = []) => parent.postMessage(message, transfer),
    listen: (listener) => parent.on("message", listener),
  };
  serveEngine(port, { openPath: openFileSource, yieldToEvents: () => new Promise((resolve) => setImmediate(resolve)) });
});
