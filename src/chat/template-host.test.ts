import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { ConfigError, TemplateError } from "../errors.ts";
import { handleTemplateRequest, type TemplatePort, type TemplateRequest, TemplateRunner } from "./template-host.ts";

const input = { messages: [{ role: "user", content: "Hi" }] };
/** A turn of the inner loop costs no expression, and there are 10^10. */
const endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";

describe("handleTemplateRequest", () => {
  it("answers hello, a render and a failure", () => {
    expect(handleTemplateRequest({ type: "hello" })).toEqual({ type: "ready" });
    expect(handleTemplateRequest({ type: "render", id: 3, template: "{{ messages[0].content }}", input })).toEqual({
      type: "rendered",
      id: 3,
      text: "Hi",
    });
    expect(handleTemplateRequest({ type: "render", id: 4, template: "{{ raise_exception('no') }}", input })).toMatchObject({
      type: "failed",
      id: 4,
      error: { name: "TemplateError", code: "template-raised", message: "no" },
    });
  });
});

describe("TemplateRunner on Node's workers", () => {
  const runners: TemplateRunner[] = [];
  const log: string[] = [];

  function spawn(): TemplatePort {
    log.push("spawn");
    const worker = new Worker(new URL("./template-host.fixture.ts", import.meta.url));
    return {
      postMessage: (message: TemplateRequest) => {
        log.push(message.type);
        worker.postMessage(message);
      },
      onmessage: (listener) => worker.on("message", listener),
      onerror: (listener) => worker.on("error", listener),
      terminate: () => {
        log.push("terminate");
        void worker.terminate();
      },
      ref: () => {
        log.push("ref");
        worker.ref();
      },
      unref: () => {
        log.push("unref");
        worker.unref();
      },
    };
  }

  function createRunner(options = {}): TemplateRunner {
    const runner = new TemplateRunner(spawn, options);
    runners.push(runner);
    return runner;
  }

  afterEach(() => {
    for (const runner of runners.splice(0)) runner.dispose();
    log.length = 0;
  });

  it("renders in one worker, which keeps the program alive only meanwhile", async () => {
    const runner = createRunner();
    expect(await runner.render("{{ messages[0].content }}!", input)).toBe("Hi!");
    const now = new Date(2026, 0, 15, 12);
    expect(await runner.render("{{ strftime_now('%d %B %Y') }}", { ...input, now })).toBe("15 January 2026");
    expect(log).toEqual(["spawn", "hello", "ref", "render", "unref", "ref", "render", "unref"]);
  });

  it("renders concurrent requests one after the other, a failed one between them", async () => {
    const runner = createRunner();
    const results = await Promise.allSettled([
      runner.render("a{{ messages[0].content }}", input),
      runner.render("{% if %}", input),
      runner.render("b{{ messages[0].content }}", input),
    ]);
    expect(results).toMatchObject([
      { status: "fulfilled", value: "aHi" },
      { status: "rejected", reason: { code: "template-parse", data: { line: 1 } } },
      { status: "fulfilled", value: "bHi" },
    ]);
    expect((results[1] as PromiseRejectedResult).reason).toBeInstanceOf(TemplateError);
    expect(log.filter((entry) => entry === "spawn")).toHaveLength(1);
  });

  it("kills an endless template at the deadline and goes on with a new worker", async () => {
    const runner = createRunner({ deadlineMs: 100 });
    const first = runner.render(endless, input);
    const second = runner.render("{{ messages[0].content }}", input);
    await expect(first).rejects.toMatchObject({ name: "TemplateError", code: "template-timeout", data: { deadlineMs: 100 } });
    expect(await second).toBe("Hi");
    expect(log).toEqual(["spawn", "hello", "ref", "render", "terminate", "spawn", "hello", "ref", "render", "unref"]);
  });

  it("survives a worker that dies", async () => {
    const runner = createRunner();
    await expect(runner.render("die", input)).rejects.toMatchObject({
      code: "template-worker",
      message: expect.stringContaining("died as asked"),
    });
    expect(await runner.render("ok", input)).toBe("ok");
  });

  it("refuses what cannot be sent", async () => {
    const runner = createRunner();
    await expect(runner.render("x", { ...input, f: () => 1 })).rejects.toBeInstanceOf(ConfigError);
    expect(await runner.render("ok", input)).toBe("ok");
  });

  it("dispose ends a request in flight, and later ones", async () => {
    const runner = createRunner();
    const pending = runner.render(endless, input);
    pending.catch(() => {}); // asserted below; disposing rejects it before that
    await Promise.resolve();
    runner.dispose();
    await expect(pending).rejects.toMatchObject({ name: "AbortError" });
    await expect(runner.render("x", input)).rejects.toMatchObject({ name: "AbortError" });
  });

  it("reports a worker that cannot be spawned or never gets ready", async () => {
    const noWorker = new TemplateRunner(() => {
      throw new Error("no workers here");
    });
    await expect(noWorker.render("x", input)).rejects.toMatchObject({ code: "template-worker" });
    const silent: TemplatePort = { postMessage() {}, onmessage() {}, onerror() {}, terminate() {} };
    const neverReady = new TemplateRunner(() => silent, { startMs: 1 });
    await expect(neverReady.render("x", input)).rejects.toMatchObject({ code: "template-worker" });
  });
});
