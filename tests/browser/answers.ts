/** Answers that a model's URL may get from real servers, for browser tests: paths below `/answers/` of the test server. */
import { createReadStream, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

const MODEL = fileURLToPath(new URL("../../models/stories-4m-i2_s.gguf", import.meta.url));

export function answers(): Plugin {
  return {
    name: "answers",
    configureServer({ middlewares }) {
      middlewares.use("/answers/missing.gguf", (_request, response) => {
        response.writeHead(404, { "content-type": "text/plain" }).end("no such file");
      });
      // a single-page application's server gives its page for every unknown path
      middlewares.use("/answers/page.gguf", (_request, response) => {
        response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>An application</title>");
      });
      // ignores ranges, as simple servers do
      middlewares.use("/answers/whole.gguf", (_request, response) => {
        response.writeHead(200, { "content-type": "application/octet-stream", "content-length": statSync(MODEL).size });
        createReadStream(MODEL).pipe(response);
      });
    },
  };
}
