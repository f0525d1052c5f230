/** A static server on 127.0.0.1 and a Chromium that looks at it: what the built page and the built package are tried with. */
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright";
import { CHROMIUM_ARGS, findChromium } from "../../support/chromium.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".svg": "image/svg+xml",
};
const ISOLATION = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

export const repository = fileURLToPath(new URL("../../../", import.meta.url));

/** Why built files cannot be tried here; null where they can. */
export function whySkipped(...files: readonly string[]): string | null {
  const missing = files.find((file) => !existsSync(repository + file));
  if (missing !== undefined) return `skipped: ${missing} is missing; npm run build makes it`;
  return findChromium() === null ? "skipped: no Chromium was found" : null;
}

export interface Site {
  readonly origin: string;
  /** What was asked for so far, in order: paths. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface SiteOptions {
  /** Whether every answer has the isolating headers. */
  readonly isIsolated: boolean;
  /** Texts by path. */
  readonly pages?: Readonly<Record<string, string>>;
  /** What answers a path instead. */
  readonly handlers?: Readonly<Record<string, Handler>>;
}

/** Serves `folder` of the repository, and `pages` by path; with ranges, and with the isolating headers where asked for. */
export async function serve(folder: string, { isIsolated, pages = {}, handlers = {} }: SiteOptions): Promise<Site> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://site").pathname.replace(/\/$/, "/index.html");
    requests.push(path);
    const handler = handlers[path];
    if (handler !== undefined) {
      handler(request, response);
      return;
    }
    const page = pages[path];
    const file = `${repository}${folder}${decodeURIComponent(path)}`;
    if (page === undefined && (path.includes("..") || !existsSync(file))) {
      response.writeHead(404, { "content-type": "text/plain" }).end("not found");
      return;
    }
    const bytes = page === undefined ? readFileSync(file) : Buffer.from(page);
    const headers = { "content-type": TYPES[extname(path)] ?? "application/octet-stream", ...(isIsolated ? ISOLATION : {}) };
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    if (range === null) {
      response.writeHead(200, { ...headers, "content-length": bytes.length }).end(bytes);
      return;
    }
    const first = Number(range[1]);
    const last = Math.min(Number(range[2]), bytes.length - 1);
    response
      .writeHead(206, { ...headers, "content-range": `bytes ${first}-${last}/${bytes.length}` })
      .end(bytes.subarray(first, last + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function launch(): Promise<Browser> {
  const executablePath = findChromium()!;
  return chromium.launch({ executablePath, args: CHROMIUM_ARGS });
}

/** What went wrong on a page, as far as the browser tells: errors, console messages, requests that failed or left `origin`. */
export function watch(page: Page, origin: string): string[] {
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") problems.push(`console: ${message.text()}`);
  });
  page.on("requestfailed", (request) => problems.push(`failed: ${request.url()}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith("blob:"))
      problems.push(`elsewhere: ${request.url()}`);
  });
  return problems;
}
