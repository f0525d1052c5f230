import { defineConfig } from "vite";

/** What gives a page shared memory, and so more than one thread. */
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

export default defineConfig({
  root: "web",
  base: "./",
  server: { host: "127.0.0.1", headers },
  preview: { host: "127.0.0.1", headers },
  worker: { format: "es" },
  // tsdown has emptied dist/ before; only the page's own folder is emptied here
  build: { outDir: "../dist/web", emptyOutDir: true, target: "es2022" },
});
