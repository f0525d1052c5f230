/** Letting messages through between two steps where there is no setImmediate: a hop over a MessageChannel, without a timer's delay. */
import type { YieldToEvents } from "./session-core.ts";

export function channelHop(): YieldToEvents {
  const { port1, port2 } = new MessageChannel();
  let wake: (() => void) | null = null;
  port1.onmessage = () => {
    const resolve = wake;
    wake = null;
    resolve?.();
  };
  let pending: Promise<void> | null = null;
  // several requests may wait at once: they share a hop
  return () => {
    pending ??= new Promise<void>((resolve) => {
      wake = () => {
        pending = null;
        resolve();
      };
      port2.postMessage(null);
    });
    return pending;
  };
}
