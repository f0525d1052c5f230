/** Where there is no page. What happens in one is tests/browser/node/isolate.test.ts. */
import { afterEach, expect, test, vi } from "vitest";
import { isolate } from "./isolate.ts";

afterEach(() => vi.unstubAllGlobals());

test("in Node there is nothing to isolate, and nothing is thrown", async () => {
  expect(await isolate()).toEqual({ isolated: false, reason: "there is no page here" });
});

test("in a worker the page decides", async () => {
  vi.stubGlobal("location", { href: "https://site.example/worker.js" });
  expect(await isolate()).toEqual({ isolated: false, reason: expect.stringContaining("this is a worker") });
  vi.stubGlobal("crossOriginIsolated", true);
  expect((await isolate()).isolated).toBe(true);
});

test("an URL that is none is the caller's error", async () => {
  vi.stubGlobal("location", { href: "https://site.example/", reload: () => {} });
  await expect(isolate({ serviceWorkerUrl: "https://:" })).rejects.toThrow(TypeError);
});
