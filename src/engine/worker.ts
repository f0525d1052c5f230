/**
 * Entry point of a browser's worker. One URL serves every role; the first message names it (bundlers must see one literal URL).
 */
import { handleTemplateRequest, type TemplateRequest } from "../chat/template-host.ts";
import { serveEngine } from "./host.ts";
import type { CallerMessage, Port, WorkerMessage } from "./protocol.ts";
import { channelHop } from "./yield.ts";

const scope = globalThis as unknown as {
  postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  onmessage: ((event: MessageEvent) => void) | null;
};

scope.onmessage = ({ data }: MessageEvent<{ type: "role"; role: string }>) => {
  if (data.role === "template") {
    scope.onmessage = (event: MessageEvent<TemplateRequest>) => scope.postMessage(handleTemplateRequest(event.data));
    return;
  }
  const port: Port<WorkerMessage, CallerMessage> = {
    post: (message, transfer = []) => scope.postMessage(message, transfer),
    listen: (listener) => {
      scope.onmessage = (event: MessageEvent<CallerMessage>) => listener(event.data);
    },
  };
  serveEngine(port, { openPath: null, yieldToEvents: channelHop() });
};
