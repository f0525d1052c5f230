/** The built page, driven as a person would: it generates, stops, takes files, says what is wrong, and asks nobody else anything. */
import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { launch, repository, type Site, serve, watch, whySkipped } from "./site.ts";

const skipped = whySkipped("dist/web/index.html");

describe.skipIf(skipped !== null)(`the page${skipped === null ? "" : ` (${skipped})`}`, () => {
  let browser: Browser;
  let site: Site;
  let page: Page;
  let problems: string[];

  // one page for all: a person does not reload it either
  beforeAll(async () => {
    [browser, site] = await Promise.all([launch(), serve("dist/web", { isIsolated: true })]);
    page = await browser.newPage();
    problems = watch(page, site.origin);
    await page.goto(`${site.origin}/`);
    await page.getByRole("button", { name: "Generate" }).and(page.locator(":enabled")).waitFor();
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });
  afterEach(() => expect(problems.splice(0)).toEqual([]));

  const button = (name: string) => page.getByRole("button", { name });
  const statistics = () => page.getByRole("status");
  const written = () => page.locator("#text");
  const finished = () => page.locator("#result[aria-busy=false]").waitFor();
  const drop = (name: string, bytes: Uint8Array) =>
    page.evaluate(
      ([fileName, base64]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], fileName));
        document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
      },
      [name, Buffer.from(bytes).toString("base64")] as const,
    );

  test("an empty prompt starts nothing", async () => {
    await page.getByLabel("Prompt").fill("");
    await button("Generate").click();
    expect(await page.locator("#result").isHidden()).toBe(true);
  });

  test("generates at temperature 0 what Node generates", async () => {
    const { loadModel } = await import("../../../src/index.ts");
    const model = await loadModel(`${repository}models/stories-4m-i2_s.gguf`);
    const text = await model.generate("The dog", { maxTokens: 40, temperature: 0, topK: 40 }).text();
    await model.dispose();

    await page.getByLabel("Prompt").fill("The dog");
    await page.getByLabel("Temperature").fill("0");
    await page.getByLabel("Max tokens").fill("40");
    await button("Generate").click();
    await finished();
    expect(await written().textContent()).toBe(text);
    expect(await statistics().textContent()).toMatch(
      /^40 tokens · [\d,.]+ tokens\/s · wasm · .*thread.* · as many tokens as asked for$/,
    );
    expect(await page.locator("#said").textContent()).toBe("The dog");
  });

  test("streams, stops in the middle by button and by key, and goes on", async () => {
    await page.getByLabel("Max tokens").fill("512");
    for (const stop of [
      () => button("Stop").evaluate((element: HTMLElement) => element.click()),
      () => page.keyboard.press("Escape"),
    ]) {
      // a sampled text may end by itself before: then it is generated again
      for (;;) {
        await page.getByLabel("Prompt").press("ControlOrMeta+Enter");
        await page.locator("#text:not(:empty)").waitFor();
        await stop();
        await finished();
        if (/· stopped$/.test((await statistics().textContent()) ?? "")) break;
      }
      expect(await button("Stop").isDisabled()).toBe(true);
    }
    await page.getByLabel("Max tokens").fill("5");
    await button("Generate").click();
    await finished();
    expect(await statistics().textContent()).toMatch(/^5 tokens ·/);
  });

  test("a text file that is dropped is refused in words; the model stays", async () => {
    await drop("list.txt", Buffer.from("bread, milk, a language model\n"));
    const alert = page.getByRole("alert");
    await alert.waitFor();
    expect(await alert.textContent()).toContain("'list.txt' is not a GGUF file");
    expect(await page.locator("#error-hint").textContent()).not.toBe("");
    await page.getByLabel("Max tokens").fill("3");
    await button("Generate").click();
    await finished();
    expect(await statistics().textContent()).toMatch(/^3 tokens ·/);
    expect(await alert.isHidden()).toBe(true);
  });

  test("a GGUF file is opened, chosen or dropped", async () => {
    const bytes = readFileSync(`${repository}models/stories-4m-i2_s.gguf`);
    await page
      .getByLabel("Open a GGUF file")
      .setInputFiles({ name: "mine.gguf", mimeType: "application/octet-stream", buffer: bytes });
    await page.locator("#loading").waitFor({ state: "hidden" });
    expect(await page.getByRole("alert").isHidden()).toBe(true);
    await drop("other.gguf", bytes);
    await page.locator("#loading").waitFor({ state: "hidden" });
    await button("Generate").click();
    await finished();
    expect(await statistics().textContent()).toMatch(/tokens\/s/);
  });

  test("the policy lets nothing out", async () => {
    const outcome = await page.evaluate(() =>
      fetch("http://127.0.0.1:1/").then(
        () => "sent",
        () => "refused",
      ),
    );
    expect(outcome).toBe("refused");
    expect(problems.splice(0).join()).toContain("Content Security Policy");
  });

  test("it fits a phone, and the text that comes is in view", async () => {
    await page.setViewportSize({ width: 320, height: 640 });
    await button("Generate").click();
    await finished();
    expect(await statistics().evaluate((element) => element.getBoundingClientRect().bottom <= innerHeight + 1)).toBe(true);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
  });
});
