import { defineConfig } from "tsdown";

const shared = {
  platform: "neutral",
  format: "esm",
  target: "es2022",
  deps: { neverBundle: [/^node:/, "@huggingface/jinja", "citty"] },
} as const;

// `dist/` is flat: the literal `new URL("./worker.js", import.meta.url)` must name a neighbour in every bundler
export default defineConfig([
  { ...shared, entry: { index: "src/index.ts", cli: "src/cli/main.ts" }, dts: true, clean: true },
  // a worker is one file; a browser's has no import map, so it carries its only dependency
  {
    ...shared,
    entry: { worker: "src/engine/worker.ts" },
    dts: true,
    clean: false,
    deps: { neverBundle: [/^node:/], alwaysBundle: ["@huggingface/jinja"] },
    outputOptions: { codeSplitting: false },
  },
  {
    ...shared,
    entry: { "node-worker": "src/engine/node-worker.ts" },
    dts: false,
    clean: false,
    outputOptions: { codeSplitting: false },
  },
  { ...shared, entry: { isolate: "src/isolate/isolate.ts" }, dts: true, clean: false },
  // a service worker is a classic script
  {
    ...shared,
    format: "iife",
    entry: { "isolate-worker": "src/isolate/isolate-worker.ts" },
    dts: false,
    clean: false,
    outputOptions: { entryFileNames: "[name].js" },
  },
]);
