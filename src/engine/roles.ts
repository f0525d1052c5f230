/** What a worker does, by the role that its first message names; the entry points differ only in their platform. */
import { type HelperStart, runHelper } from "../backends/wasm/helper.ts";
import { handleTemplateRequest, type TemplateRequest } from "../chat/template-host.ts";
import { type HostPlatform, serveEngine } from "./host.ts";
import type { CallerMessage, Port, WorkerRole } from "./protocol.ts";

export function serveRole(role: WorkerRole, port: Port<unknown, never>, platform: HostPlatform): void {
  switch (role) {
    case "engine":
      serveEngine(port as Port<unknown, CallerMessage>, platform);
      return;
    case "helper":
      // blocks this thread until it is stopped
      port.listen((start: HelperStart) => runHelper(start, () => port.post({ type: "ready" })));
      return;
    case "template":
      port.listen((request: TemplateRequest) => port.post(handleTemplateRequest(request)));
      return;
    default:
      throw new Error(role satisfies never);
  }
}
