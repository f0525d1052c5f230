/** The built package in a page without any bundler: an import map, `dist/index.js`, and the worker that it finds beside itself. */
import type { Browser } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeValues } from "../node-values.ts";
import { CASES, PROMPT } from "../observed.ts";
import { launch, serve, watch, whySkipped } from "./site.ts";

const skipped = whySkipped("dist/index.js", "dist/worker.js");

const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="importmap">{"imports": {"bitnet-wasm": "./dist/index.js", "@huggingface/jinja": "./node_modules/@huggingface/jinja/dist/index.js"}}</script>
<script type="module">
  import { loadModel } from "bitnet-wasm";
  try {
    const model = await loadModel("./models/stories-4m-i2_s.gguf");
    const tokens = {};
    for (const [name, options] of Object.entries(${JSON.stringify(CASES)})) {
      tokens[name] = (await model.generate(${JSON.stringify(PROMPT)}, options).result).tokens;
    }
    await model.dispose();
    window.answer = { tokens, isIsolated: crossOriginIsolated };
  } catch (error) {
    window.answer = { error: String(error) };
  }
</script>`;

describe.skipIf(skipped !== null)(`the built package in a page${skipped === null ? "" : ` (${skipped})`}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());

  test.each([true, false])("gives the tokens of Node; isolated: %s", async (isIsolated) => {
    const site = await serve("", { isIsolated, pages: { "/page.html": PAGE } });
    const page = await browser.newPage();
    try {
      const problems = watch(page, site.origin);
      await page.goto(`${site.origin}/page.html`);
      const answer = await (await page.waitForFunction(() => (globalThis as { answer?: unknown }).answer)).jsonValue();
      expect(answer).toEqual({ tokens: (await nodeValues()).tokens, isIsolated });
      expect(problems).toEqual([]);
    } finally {
      await page.close();
      await site.close();
    }
  });
});
