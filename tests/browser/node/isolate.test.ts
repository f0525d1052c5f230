/**
 * `bitnet-wasm/isolate` in Chromium, on servers that send no isolating headers: the page comes through its service worker after one
 * reload, the engine gets threads, and what the service worker has no business with is left alone. Where isolation cannot be had the
 * page is told why, is not reloaded again, and the engine runs on one thread.
 */
import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { IsolateOptions, Isolation } from "../../../src/isolate/isolate.ts";
import { nodeValues } from "../node-values.ts";
import { CASES, PROMPT } from "../observed.ts";
import { type Handler, launch, repository, type Site, type SiteOptions, serve, watch, whySkipped } from "./site.ts";

const skipped = whySkipped("dist/index.js", "dist/worker.js", "dist/isolate.js", "dist/isolate-worker.js");

const MODEL = "/models/stories-4m-i2_s.gguf";

interface Loaded {
  readonly tokens: Readonly<Record<string, readonly number[]>>;
  readonly threads: number;
  readonly threadsReason: string;
}

/** What the page below gives to the tests. */
interface PageGlobals {
  isolation?: Isolation;
  load(url: string, threads: number | "auto" | undefined, cases: readonly string[]): Promise<Loaded>;
}

const pageWith = (options: IsolateOptions = {}) => `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="importmap">{"imports": {
  "bitnet-wasm": "/dist/index.js",
  "bitnet-wasm/isolate": "/dist/isolate.js",
  "@huggingface/jinja": "/node_modules/@huggingface/jinja/dist/index.js"
}}</script>
<script type="module">
  import { loadModel } from "bitnet-wasm";
  import { isolate } from "bitnet-wasm/isolate";
  window.load = async (url, threads, cases) => {
    const model = await loadModel(url, { threads }).catch((error) => {
      throw new Error(error + "; " + error.hint);
    });
    const tokens = {};
    for (const name of cases) {
      tokens[name] = (await model.generate(${JSON.stringify(PROMPT)}, ${JSON.stringify(CASES)}[name]).result).tokens;
    }
    await model.dispose();
    return { tokens, threads: model.info.threads, threadsReason: model.info.threadsReason };
  };
  window.isolation = await isolate(${JSON.stringify(options)});
</script>`;

const script =
  (text: string): Handler =>
  (_, response) =>
    response.writeHead(200, { "content-type": "text/javascript" }).end(text);

describe.skipIf(skipped !== null)(`bitnet-wasm/isolate${skipped === null ? "" : ` (${skipped})`}`, () => {
  let browser: Browser;
  let worker: string;
  const opened: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    worker = readFileSync(`${repository}dist/isolate-worker.js`, "utf8");
    browser = await launch();
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
  });

  /** A site with the page, and the service worker at the root. */
  async function open(options: IsolateOptions = {}, { pages, ...site }: Partial<SiteOptions> = {}): Promise<Site> {
    const opening = await serve("", {
      isIsolated: false,
      pages: { "/page.html": pageWith(options), "/isolate-worker.js": worker, ...pages },
      ...site,
    });
    opened.unshift(opening);
    return opening;
  }

  async function newPage(): Promise<Page> {
    const context = await browser.newContext();
    opened.unshift(context);
    return context.newPage();
  }

  /** What `isolate` told the page, on the load on which it did. */
  async function isolationOf(page: Page): Promise<Isolation> {
    const isolation = await page.waitForFunction(() => (globalThis as unknown as PageGlobals).isolation);
    return (await isolation.jsonValue())!;
  }

  const visit = async (page: Page, { origin }: Site, path = "/page.html") => {
    await page.goto(origin + path);
    return isolationOf(page);
  };
  const loadsOf = ({ requests }: Site) => requests.filter((path) => path.endsWith("/page.html")).length;
  const isIsolated = (page: Page) => page.evaluate(() => crossOriginIsolated);
  const load = (page: Page, threads?: number | "auto", { url = MODEL, cases = Object.keys(CASES) } = {}) =>
    page.evaluate(([from, n, names]) => (globalThis as unknown as PageGlobals).load(from, n, names), [
      url,
      threads,
      cases,
    ] as const);

  test("a first visit is reloaded once; then there are threads, which give the tokens of Node", async () => {
    const site = await open();
    const page = await newPage();
    const problems = watch(page, site.origin);
    expect(await visit(page, site)).toEqual({ isolated: true, reason: "the page is cross-origin isolated" });
    expect(await isIsolated(page)).toBe(true);
    expect(loadsOf(site)).toBe(2);

    const { tokens, threads } = await load(page, 2);
    expect(threads).toBe(2);
    expect(tokens).toEqual((await nodeValues()).tokens);

    await page.reload();
    expect((await isolationOf(page)).isolated).toBe(true);
    expect((await load(page, 2, { cases: [] })).threads).toBe(2);
    expect(loadsOf(site)).toBe(3);
    // the next visit in another tab needs no reload
    const other = await page.context().newPage();
    expect((await visit(other, site)).isolated).toBe(true);
    expect(loadsOf(site)).toBe(4);
    expect(problems).toEqual([]);
  });

  test("ranges, streams and uploads are what they are without it", async () => {
    const model = readFileSync(repository + MODEL.slice(1));
    let finish: () => void = () => {};
    const site = await open(
      {},
      {
        handlers: {
          "/no-ranges.gguf": (_, response) => response.writeHead(200, { "content-length": model.length }).end(model),
          // the second half comes when the page has the first
          "/halves": (_, response) => {
            response.writeHead(200).write(model.subarray(0, 1000));
            finish = () => response.end(model.subarray(1000, 2000));
          },
          "/second-half": (_, response) => {
            finish();
            response.writeHead(204).end();
          },
          "/echo": (request, response) => request.pipe(response.writeHead(200)),
          "/moved": (_, response) => response.writeHead(302, { location: "/echo" }).end(),
        },
      },
    );
    const page = await newPage();
    await visit(page, site);

    const seen = await page.evaluate(async (url) => {
      const bytes = async (response: Response) => [...new Uint8Array(await response.arrayBuffer())];
      const range = await fetch(url, { headers: { range: "bytes=1000-1999" } });
      const halves = await fetch("/halves");
      const reader = halves.body!.getReader();
      const pieces: number[] = [];
      const isLong = async (length: number) => {
        while (pieces.length < length) pieces.push(...((await reader.read()).value ?? []));
      };
      await isLong(1000);
      const none = await fetch("/second-half");
      await isLong(2000);
      const moved = await fetch("/moved");
      return {
        range: { status: range.status, contentRange: range.headers.get("content-range"), bytes: await bytes(range) },
        pieces,
        none: none.status,
        echo: await (await fetch("/echo", { method: "POST", body: "text" })).text(),
        moved: { isRedirected: moved.redirected, path: new URL(moved.url).pathname },
      };
    }, MODEL);
    expect(seen).toEqual({
      range: {
        status: 206,
        contentRange: `bytes 1000-1999/${model.length}`,
        bytes: [...model.subarray(1000, 2000)],
      },
      pieces: [...model.subarray(0, 2000)],
      none: 204,
      echo: "text",
      moved: { isRedirected: true, path: "/echo" },
    });

    const { tokens } = await nodeValues();
    expect((await load(page, 2, { url: "/no-ranges.gguf" })).tokens).toEqual(tokens);
    expect(site.requests.filter((path) => path === MODEL)).toHaveLength(1);
    expect((await load(page, 2)).tokens).toEqual(tokens);
    expect(site.requests.filter((path) => path === MODEL).length).toBeGreaterThan(2);
  });

  test("a navigation that is redirected or compressed arrives, isolated, where it leads", async () => {
    const { gzipSync } = await import("node:zlib");
    const site = await open(
      {},
      {
        handlers: {
          "/old.html": (_, response) => response.writeHead(301, { location: "/gzip/page.html" }).end(),
          "/gzip/page.html": (_, response) => {
            const headers = { "content-type": "text/html; charset=utf-8", "content-encoding": "gzip" };
            response.writeHead(200, headers).end(gzipSync(pageWith({ serviceWorkerUrl: "/isolate-worker.js" })));
          },
        },
      },
    );
    const page = await newPage();
    await visit(page, site);
    await page.goto(`${site.origin}/old.html`);
    expect((await isolationOf(page)).isolated).toBe(true);
    expect(page.url()).toBe(`${site.origin}/gzip/page.html`);
  });

  test("with require-corp another origin's picture needs its leave; with credentialless it does not", async () => {
    const picture = `<svg xmlns="http://www.w3.org/2000/svg" width="3" height="3"/>`;
    const elsewhere = await open({}, { pages: { "/picture.svg": picture } });
    const widthOf = (page: Page) =>
      page.evaluate(
        (src) =>
          new Promise<number>((resolve) => {
            const image = new Image();
            image.onload = () => resolve(image.width);
            image.onerror = () => resolve(-1);
            image.src = src;
          }),
        `${elsewhere.origin}/picture.svg`,
      );
    const page = await newPage();
    await visit(page, await open());
    expect(await widthOf(page)).toBe(-1);
    await visit(page, await open({ serviceWorkerUrl: "./isolate-worker.js?coep=credentialless" }));
    expect(await isIsolated(page)).toBe(true);
    expect(await widthOf(page)).toBe(3);
  });

  test("a changed query reaches visitors who are isolated already", async () => {
    let options: IsolateOptions = {};
    const site = await open(
      {},
      {
        handlers: {
          "/page.html": (_, response) =>
            response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(pageWith(options)),
        },
      },
    );
    const page = await newPage();
    await visit(page, site);
    options = { serviceWorkerUrl: "./isolate-worker.js?coep=credentialless" };
    await visit(page, site);
    await page.waitForFunction(() => navigator.serviceWorker.controller!.scriptURL.endsWith("?coep=credentialless"));
    const [response] = await Promise.all([page.waitForResponse(`${site.origin}/page.html`), page.reload()]);
    expect(response.headers()["cross-origin-embedder-policy"]).toBe("credentialless");
    expect((await isolationOf(page)).isolated).toBe(true);
    expect(loadsOf(site)).toBe(4);
  });

  test("a load that goes past the service worker (Shift+Reload) is followed by one that does not", async () => {
    const site = await open();
    const page = await newPage();
    await visit(page, site);
    // a while later
    await page.addInitScript((ms) => {
      const [now, origin] = [Date.now, performance.timeOrigin];
      Date.now = () => now() + ms;
      Object.defineProperty(performance, "timeOrigin", { value: origin + ms });
    }, 60_000);
    const devtools = await page.context().newCDPSession(page);
    await Promise.all([page.waitForEvent("load"), devtools.send("Page.reload", { ignoreCache: true })]);
    expect((await isolationOf(page)).isolated).toBe(true);
    expect(loadsOf(site)).toBe(4);
  });

  test("without a reload the page is isolated when it is loaded the next time", async () => {
    const site = await open({ reload: false });
    const page = await newPage();
    expect(await visit(page, site)).toMatchObject({ isolated: false, reason: expect.stringContaining("the next time") });
    expect(loadsOf(site)).toBe(1);
    expect((await visit(page, site)).isolated).toBe(true);
  });

  describe("where it cannot be had, the page is told why and goes on with one thread", () => {
    /** `nLoads` of the page in all, and still so after it was used. */
    async function expectNot(page: Page, site: Site, isolation: Isolation, reason: RegExp, nLoads: number): Promise<void> {
      expect(isolation).toEqual({ isolated: false, reason: expect.stringMatching(reason) });
      const threadsReason = "one thread: the page is not cross-origin isolated";
      expect(await load(page, 2, { cases: [] })).toEqual({ tokens: {}, threads: 1, threadsReason });
      expect(loadsOf(site)).toBe(nLoads);
    }

    test("the script is not there", async () => {
      const site = await open({ serviceWorkerUrl: "./nowhere.js" });
      const page = await newPage();
      await expectNot(page, site, await visit(page, site), /nowhere\.js cannot be registered: .*404/, 1);
      await expectNot(page, site, await visit(page, site), /404/, 2);
    });

    test("the service worker adds no headers: one reload, and none on later visits", async () => {
      const site = await open({}, { handlers: { "/isolate-worker.js": script("onfetch = () => {};") } });
      const page = await newPage();
      await expectNot(page, site, await visit(page, site), /was reloaded once|came through/, 2);
      await expectNot(page, site, await visit(page, site), /was reloaded once|came through/, 3);
    });

    test("it adds no headers, and the session's notes are lost on the way", async () => {
      const answers = "onfetch = (event) => event.respondWith(fetch(event.request));";
      const site = await open({}, { handlers: { "/isolate-worker.js": script(answers) } });
      const page = await newPage();
      await page.addInitScript(() => sessionStorage.clear());
      await expectNot(page, site, await visit(page, site), /came through .*isolate-worker\.js and is not isolated/, 2);
    });

    test("it cannot start", async () => {
      const site = await open({}, { handlers: { "/isolate-worker.js": script("throw new Error('no')") } });
      const page = await newPage();
      await expectNot(page, site, await visit(page, site), /cannot be registered/, 1);
    });

    test("it cannot install", async () => {
      const fails = "oninstall = (event) => event.waitUntil(Promise.reject(new Error('no')));";
      const site = await open({}, { handlers: { "/isolate-worker.js": script(fails) } });
      const page = await newPage();
      await expectNot(page, site, await visit(page, site), /did not start/, 1);
    });

    test("its scope is elsewhere", async () => {
      const site = await open({ serviceWorkerUrl: "/app/isolate-worker.js" }, { pages: { "/app/isolate-worker.js": worker } });
      const page = await newPage();
      await expectNot(page, site, await visit(page, site), /outside of the service worker's scope .*\/app\/$/, 1);
    });

    test("its scope is above it, and the server does not allow that", async () => {
      const options = { serviceWorkerUrl: "/app/isolate-worker.js", scope: "/" };
      const site = await open(options, { pages: { "/app/isolate-worker.js": worker } });
      const page = await newPage();
      await expectNot(page, site, await visit(page, site), /cannot be registered: .*scope/, 1);
    });

    test("the site has a service worker of its own, which stays", async () => {
      const site = await open({}, { handlers: { "/own.js": script("onfetch = () => {};") }, pages: { "/first.html": "first" } });
      const page = await newPage();
      await page.goto(`${site.origin}/first.html`);
      await page.evaluate(async () => {
        await navigator.serviceWorker.register("/own.js");
        await navigator.serviceWorker.ready;
      });
      await expectNot(page, site, await visit(page, site), /own service worker .*\/own\.js serves the page/, 1);
      expect(await page.evaluate(() => navigator.serviceWorker.controller?.scriptURL)).toBe(`${site.origin}/own.js`);
    });

    test("there are no service workers", async () => {
      const site = await open();
      const page = await newPage();
      await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, "serviceWorker"));
      await expectNot(page, site, await visit(page, site), /private window/, 1);
    });

    test("asking for them throws", async () => {
      const site = await open();
      const page = await newPage();
      await page.addInitScript(() =>
        Object.defineProperty(Navigator.prototype, "serviceWorker", {
          get: () => {
            throw new DOMException("denied", "SecurityError");
          },
        }),
      );
      await expectNot(page, site, await visit(page, site), /private window/, 1);
    });

    test("the context is not secure", async () => {
      const site = await open();
      const page = await newPage();
      await page.addInitScript(() => Object.defineProperty(globalThis, "isSecureContext", { value: false }));
      await expectNot(page, site, await visit(page, site), /neither on https: nor on localhost/, 1);
    });

    test("nothing may be stored", async () => {
      const site = await open();
      const page = await newPage();
      await page.addInitScript(() =>
        Object.defineProperty(globalThis, "sessionStorage", {
          get: () => {
            throw new DOMException("denied", "SecurityError");
          },
        }),
      );
      await expectNot(page, site, await visit(page, site), /may not store anything/, 1);
    });

    test("the page is in a frame", async () => {
      const site = await open({}, { pages: { "/frame.html": `<iframe src="/page.html"></iframe>` } });
      const page = await newPage();
      await page.goto(`${site.origin}/frame.html`);
      const frame = page.frame({ url: /page\.html/ })!;
      const isolation = await frame.waitForFunction(() => (globalThis as unknown as PageGlobals).isolation);
      expect(await isolation.jsonValue()).toEqual({ isolated: false, reason: expect.stringContaining("in a frame") });
      expect(loadsOf(site)).toBe(1);
    });
  });

  test("a service worker of the site's own may take it in", async () => {
    const own = script(`importScripts("/isolate-worker.js"); onfetch = () => {};`);
    const site = await open({ serviceWorkerUrl: "/own.js" }, { handlers: { "/own.js": own } });
    const page = await newPage();
    expect((await visit(page, site)).isolated).toBe(true);
    expect(loadsOf(site)).toBe(2);
  });

  test("a scope above it serves where the server allows it", async () => {
    const allowed: Handler = (_, response) =>
      response.writeHead(200, { "content-type": "text/javascript", "service-worker-allowed": "/" }).end(worker);
    const options = { serviceWorkerUrl: "/app/isolate-worker.js", scope: "/" };
    const site = await open(options, { handlers: { "/app/isolate-worker.js": allowed } });
    const page = await newPage();
    expect((await visit(page, site)).isolated).toBe(true);
    expect(loadsOf(site)).toBe(2);
  });

  test("the engine's worker must lie below the scope too: else it does not load, and the error's hint says where to look", async () => {
    const site = await open({}, { pages: { "/app/page.html": pageWith(), "/app/isolate-worker.js": worker } });
    const page = await newPage();
    expect((await visit(page, site, "/app/page.html")).isolated).toBe(true);
    await expect(load(page, 1)).rejects.toThrow(/BackendError: .*Check workerUrl, .* and COEP/s);
  });

  describe("where the server sends the headers", () => {
    test("nothing is registered or reloaded; any number of threads gives the same tokens", async () => {
      const site = await open({}, { isIsolated: true });
      const page = await newPage();
      expect((await visit(page, site)).isolated).toBe(true);
      expect(loadsOf(site)).toBe(1);
      expect(await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length)).toBe(0);

      const { tokens } = await nodeValues();
      const auto = await load(page, "auto");
      expect(auto.tokens).toEqual(tokens);
      expect(auto.threadsReason).toMatch(/^measured per token|one core/);
      expect(await load(page, 4)).toEqual({ tokens, threads: 4, threadsReason: "asked for" });
    });

    test("a helper whose script does not load is an error at once, not a hang", async () => {
      const script = readFileSync(`${repository}dist/worker.js`);
      let nServed = 0;
      const onceOnly: Handler = (_, response) => {
        response.setHeader("cross-origin-embedder-policy", "require-corp");
        if (nServed++ === 0) response.writeHead(200, { "content-type": "text/javascript" }).end(script);
        else response.writeHead(503).end();
      };
      const site = await open({}, { isIsolated: true, handlers: { "/dist/worker.js": onceOnly } });
      const page = await newPage();
      await visit(page, site);
      await expect(load(page, 2)).rejects.toThrow("BackendError: wasm: a helper thread died or stopped answering");
      expect(nServed).toBe(2);
    });
  });
});
