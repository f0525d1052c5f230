/**
 * Entry point of a browser's worker. One URL serves every role; the first message names it (bundlers must see one literal URL).
 */
import type { Port, WorkerRole } from "./protocol.ts";
import { serveRole } from "./roles.ts";
import { browserHandle } from "./worker-handle.ts";
import { channelHop } from "./yield.ts";

const scope = globalThis as unknown as {
  postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  onmessage: ((event: MessageEvent) => void) | null;
};

const port: Port<unknown, never> = {
  post: (message, transfer = []) => scope.postMessage(message, transfer),
  listen: (listener) => {
    scope.onmessage = ({ data }) => listener(data as never);
  },
};

scope.onmessage = ({ data }: MessageEvent<{ role: WorkerRole }>) => {
  serveRole(data.role, port, {
    openPath: null,
    yieldToEvents: channelHop(),
    threads: {
      hardwareConcurrency: navigator.hardwareConcurrency,
      unavailable: globalThis.crossOriginIsolated ? null : "one thread: the page is not cross-origin isolated",
      spawn() {
        // this very script: no bundler has to find it a second time
        const helper = browserHandle<unknown, unknown>(new Worker(globalThis.location.href, { type: "module" }));
        helper.post({ type: "role", role: "helper" satisfies WorkerRole });
        return helper;
      },
    },
  });
};
