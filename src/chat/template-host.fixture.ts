/** A worker for template-host.test.ts: the worker's side of the protocol on a Node thread. */
import { parentPort } from "node:worker_threads";
import { handleTemplateRequest, type TemplateRequest } from "./template-host.ts";

parentPort?.on("message", (request: TemplateRequest) => {
  if (request.type === "render" && request.template === "die") throw new Error("died as asked");
  parentPort?.postMessage(handleTemplateRequest(request));
});
