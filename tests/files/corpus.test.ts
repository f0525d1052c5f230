import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blobSource } from "../../src/bytes/blob.ts";
import { openFileSource } from "../../src/bytes/file.ts";
import { openHttpSource } from "../../src/bytes/http-range.ts";
import { memorySource } from "../../src/bytes/memory.ts";
import { corpus, strangers } from "./corpus.ts";
import { closeServer, listen } from "./http-server.ts";
import { comparable, counted, verdictOf } from "./verdict.ts";

const cases = corpus();

describe("corpus of hostile files", () => {
  it("has distinct names and covers groups 1 to 8", () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    for (let group = 1; group <= 8; group++)
      expect(cases.filter(({ name }) => name.startsWith(`${group} `)).length).toBeGreaterThan(5);
    expect(cases.length).toBeGreaterThanOrEqual(250);
  });

  it.each(cases.map((one) => [one.name, one] as const))("%s", async (_name, { bytes, code, mark, errorClass }) => {
    const { source, count } = counted(memorySource(bytes));
    const verdict = await verdictOf(source);
    expect(verdict.code, verdict.message).toBe(code);
    if (code !== null) {
      expect(verdict.errorClass).toBe(errorClass);
      if (mark >= 0) expect(verdict.byteOffset, verdict.message).toBe(mark);
      expect(verdict.byteOffset).toBeGreaterThanOrEqual(0);
      expect(verdict.message).toMatch(/^gguf: /);
      expect(verdict.message.length).toBeLessThan(500);
    }
    // Work follows the size of the file, not what it claims.
    expect(count.nBytes).toBeLessThanOrEqual(2 * bytes.length + 64);
    expect(count.nReads).toBeLessThanOrEqual(3);
  });

  it("names what a file of another kind looks like", async () => {
    for (const [word, bytes] of strangers()) {
      const verdict = await verdictOf(memorySource(bytes, "model.gguf"));
      expect(verdict.code).toBe("gguf-magic");
      expect(verdict.message).toContain("'model.gguf' is not a GGUF file");
      expect(verdict.message).toContain(word);
    }
  });
});

describe("the same verdict from every source", () => {
  let folder = "";
  let origin = "";
  const files = new Map<string, Uint8Array>();
  const server = createServer((request, response) => {
    const bytes = files.get(request.url!)!;
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const first = Number(match?.[1]);
    if (match === null || first >= bytes.length) {
      response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
      return;
    }
    const last = Math.min(Number(match[2]), bytes.length - 1);
    response.writeHead(206, { "content-range": `bytes ${first}-${last}/${bytes.length}` }).end(bytes.subarray(first, last + 1));
  });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "gguf-corpus-"));
    origin = await listen(server);
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
    await closeServer(server);
  });

  it("memory, path, Blob and HTTP agree on code and byte offset", async () => {
    for (const [i, { name, bytes }] of cases.entries()) {
      const expected = comparable(await verdictOf(memorySource(bytes)));
      const path = join(folder, `${i}.gguf`);
      await writeFile(path, bytes);
      const file = await openFileSource(path);
      expect(comparable(await verdictOf(file)), `path: ${name}`).toBe(expected);
      await file.close?.();
      expect(comparable(await verdictOf(blobSource(new Blob([bytes.slice()])))), `blob: ${name}`).toBe(expected);
      files.set(`/${i}.gguf`, bytes);
      const http = await openHttpSource(`${origin}/${i}.gguf`);
      expect(comparable(await verdictOf(http)), `http: ${name}`).toBe(expected);
    }
  });
});
