import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectConfiguration } from "vitest/config";
import { answers } from "./tests/browser/answers.ts";
import { CHROMIUM_ARGS, findChromium } from "./tests/support/chromium.ts";

const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

const node: TestProjectConfiguration = {
  test: {
    name: "node",
    include: ["src/**/*.test.ts", "tests/**/*.test.ts"],
    // what is directly in tests/browser runs in Chromium
    exclude: ["tests/browser/*.test.ts"],
    testTimeout: 60_000,
  },
};

/** The public API in a page, with and without the headers that give it shared memory. */
const browser = (executablePath: string, name: string, isIsolated: boolean): TestProjectConfiguration => ({
  server: { headers: isIsolated ? ISOLATION : {} },
  // found before the first test: a dependency found late reloads the page under it
  optimizeDeps: { include: ["@huggingface/jinja"] },
  plugins: [answers()],
  test: {
    name,
    include: ["tests/browser/*.test.ts"],
    globalSetup: ["tests/browser/node-values.ts"],
    testTimeout: 60_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      instances: [{ browser: "chromium" }],
      provider: playwright({ launchOptions: { executablePath, args: CHROMIUM_ARGS } }),
    },
  },
});

// none found: tests/browser/node/chromium.test.ts says so, and fails where CI is set
const chromium = findChromium();
const browsers = chromium === null ? [] : [browser(chromium, "browser", true), browser(chromium, "browser-plain", false)];

export default defineConfig({
  test: {
    reporters: ["default", "./tests/support/plain-reporter.ts"],
    projects: [node, ...browsers],
  },
});
