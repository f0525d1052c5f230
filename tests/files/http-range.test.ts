/** Servers that misbehave: group 14 of the corpus, and the ordinary statuses. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type HttpSourceOptions, openHttpSource } from "../../src/bytes/http-range.ts";
import { NetworkError } from "../../src/errors.ts";
import { readGguf } from "../../src/gguf/reader.ts";
import { closeServer, listen } from "./http-server.ts";
import { sampleFile } from "./sample.ts";

type Handler = (request: IncomingMessage, response: ServerResponse, range: { first: number; last: number }) => void;

const content: Uint8Array = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) & 0xff);
let handler: Handler = () => {};
let requests: IncomingMessage[] = [];
let origin = "";
const server = createServer((request, response) => {
  requests.push(request);
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  handler(request, response, { first: Number(match?.[1]), last: Number(match?.[2]) });
});

beforeAll(async () => {
  origin = await listen(server);
});
afterAll(() => closeServer(server));
afterEach(() => {
  requests = [];
});

const open = (options?: HttpSourceOptions) => openHttpSource(`${origin}/folder/model.gguf?token=secret`, options);

/** A right answer, with headers added. */
function answer(response: ServerResponse, { first, last }: { first: number; last: number }, headers = {}, bytes = content): void {
  const end = Math.min(last, bytes.length - 1);
  response
    .writeHead(206, { "content-range": `bytes ${first}-${end}/${bytes.length}`, ...headers })
    .end(bytes.subarray(first, end + 1));
}

/** The probe is answered rightly, everything after it by `then`. */
const afterProbe =
  (then: Handler, headers = {}): Handler =>
  (request, response, range) =>
    requests.length === 1 ? answer(response, range, headers) : then(request, response, range);

async function failure(promise: Promise<unknown>): Promise<NetworkError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(NetworkError);
  return error as NetworkError;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await failure(promise)).code;
}

describe("a good server", () => {
  it("gives size and exact bytes, and sends If-Range and the caller's headers", async () => {
    handler = (_request, response, range) => answer(response, range, { etag: '"v1"' });
    const source = await open({ headers: { authorization: "Bearer abc" } });
    expect(source.size).toBe(1000);
    expect(source.name).toBe(`${origin}/folder/model.gguf`);
    expect(source.readSync).toBeUndefined();
    expect(await source.read(0, 1000)).toEqual(content);
    expect(await source.read(999, 1)).toEqual(content.slice(999));
    expect(await source.read(17, 300)).toEqual(content.slice(17, 317));
    expect((await source.read(1000, 0)).length).toBe(0);
    expect(requests.length).toBe(4);
    expect(requests.map(({ headers }) => headers.range)).toEqual(["bytes=0-1", "bytes=0-999", "bytes=999-999", "bytes=17-316"]);
    expect(requests.map((request) => request.headers["if-range"])).toEqual([undefined, '"v1"', '"v1"', '"v1"']);
    expect(requests.every(({ headers }) => headers.authorization === "Bearer abc")).toBe(true);
    await expect(source.read(999, 2)).rejects.toMatchObject({ code: "bytes-out-of-range" });
    await expect(source.read(-1, 1)).rejects.toMatchObject({ code: "bytes-out-of-range" });
    await source.close?.();
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: "source-closed" });
  });

  it("opens a file of one byte", async () => {
    handler = (_request, response, range) => answer(response, range, {}, content.slice(5, 6));
    const source = await open();
    expect(source.size).toBe(1);
    expect(await source.read(0, 1)).toEqual(content.slice(5, 6));
  });

  // sirv, which Vite and SvelteKit serve with: `parseInt(last) || size - 1`
  it("is read although it takes the last position 0 for none", async () => {
    handler = (_request, response, { first, last }) => answer(response, { first, last: last || 999 });
    const source = await open();
    expect(source.size).toBe(1000);
    expect(await source.read(0, 10)).toEqual(content.slice(0, 10));
  });

  it("sends no weak ETag in If-Range, but compares it", async () => {
    handler = (_request, response, range) => answer(response, range, { etag: requests.length < 3 ? 'W/"v1"' : 'W/"v2"' });
    const source = await open();
    await source.read(0, 10);
    expect(requests[1]!.headers["if-range"]).toBeUndefined();
    expect(await codeOf(source.read(0, 10))).toBe("http-changed");
  });

  it("opens an empty file", async () => {
    handler = (_request, response) => response.writeHead(416, { "content-range": "bytes */0" }).end();
    expect((await open()).size).toBe(0);
  });

  it("reads a header in one request behind the probe, and at every edge of the window", async () => {
    const file = sampleFile();
    handler = (_request, response, range) => answer(response, range, {}, file);
    const expected = await readGguf(await open());
    expect(requests.length).toBe(2);
    for (const windowBytes of [24, 64, expected.dataOffset - 1, expected.dataOffset, expected.dataOffset + 1]) {
      const got = await readGguf(await open(), { windowBytes });
      expect(got.tensors).toEqual(expected.tensors);
      expect(got.metadata.entries).toEqual(expected.metadata.entries);
    }
  });
});

describe("a server that ignores Range", () => {
  it("is read once, across the borders of the kept pieces", async () => {
    const big = new Uint8Array(33 * 1024 * 1024 + 5);
    for (let i = 0; i < big.length; i += 997) big[i] = i & 0xff;
    handler = (_request, response) => response.writeHead(200, { "content-length": big.length }).end(big);
    const source = await open();
    expect(source.size).toBe(big.length);
    for (const border of [16 * 1024 * 1024, 32 * 1024 * 1024]) {
      expect(await source.read(border - 1000, 3000)).toEqual(big.slice(border - 1000, border + 2000));
      expect(await source.read(border, 1)).toEqual(big.slice(border, border + 1));
    }
    expect(Buffer.compare(await source.read(0, big.length), big)).toBe(0);
    expect(requests.length).toBe(1);
    await expect(source.read(big.length, 1)).rejects.toMatchObject({ code: "bytes-out-of-range" });
    await source.close?.();
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: "source-closed" });
  });

  it("may compress the whole body, which fetch unpacks", async () => {
    handler = (_request, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(content));
    const source = await open();
    expect(await source.read(0, source.size)).toEqual(content);
  });

  it("may send no length", async () => {
    handler = (_request, response) => response.writeHead(200).end(content);
    expect((await open()).size).toBe(1000);
  });

  it("is caught when the connection drops", async () => {
    handler = (_request, response) => {
      response.writeHead(200, { "content-length": 1000 }).write(content.slice(0, 400));
      setImmediate(() => response.destroy());
    };
    const error = await failure(open());
    expect(error.code).toBe("http-truncated");
    expect(error.data["wanted"]).toBe(1000);
  });
});

describe("a server that lies", () => {
  const lies: readonly (readonly [string, string, Handler])[] = [
    ["sends 206 without Content-Range", "http-range-mismatch", (_q, r) => r.writeHead(206).end(content.slice(0, 1))],
    [
      "hides the total",
      "http-range-mismatch",
      (_q, r) => r.writeHead(206, { "content-range": "bytes 0-0/*" }).end(content.slice(0, 1)),
    ],
    [
      "sends nonsense",
      "http-range-mismatch",
      (_q, r) => r.writeHead(206, { "content-range": "pages 1" }).end(content.slice(0, 1)),
    ],
    [
      "names a total within the range",
      "http-range-mismatch",
      (_q, r) => r.writeHead(206, { "content-range": "bytes 0-0/0" }).end("x"),
    ],
    [
      "names a total above 2^53",
      "http-range-mismatch",
      (_q, r) => r.writeHead(206, { "content-range": "bytes 0-0/9999999999999999" }).end("x"),
    ],
    [
      "answers the probe with another range",
      "http-range-mismatch",
      (_q, r) => r.writeHead(206, { "content-range": "bytes 1-1/9" }).end("x"),
    ],
    ["answers the probe with the whole file as 206", "http-range-mismatch", (_q, r) => answer(r, { first: 0, last: 999 })],
    [
      "sends more than the probe's bytes",
      "http-range-mismatch",
      (_q, r) => r.writeHead(206, { "content-range": "bytes 0-1/1000" }).end(content),
    ],
    ["sends nothing for the probe", "http-truncated", (_q, r) => r.writeHead(206, { "content-range": "bytes 0-1/1000" }).end()],
    [
      "compresses a range",
      "http-encoding",
      (_q, r) => r.writeHead(206, { "content-range": "bytes 0-0/1000", "content-encoding": "gzip" }).end(gzipSync("x")),
    ],
    [
      "sends HTML with a type",
      "http-html",
      (_q, r) => r.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("hello"),
    ],
    [
      "sends HTML as a range",
      "http-html",
      (_q, r) => r.writeHead(206, { "content-type": "text/html", "content-range": "bytes 0-0/99" }).end("<"),
    ],
    ["sends HTML without a type", "http-html", (_q, r) => r.writeHead(200).end("\n<!DOCTYPE html><title>Login</title>")],
    ["sends a bare 416", "http-416", (_q, r) => r.writeHead(416).end()],
    ["sends 204", "http-204", (_q, r) => r.writeHead(204).end()],
  ];
  it.each(lies)("%s: %s", async (_name, code, lie) => {
    handler = lie;
    const error = await failure(open());
    expect(error.code).toBe(code);
    expect(error.data["url"]).toBe(`${origin}/folder/model.gguf`);
    expect(typeof error.data["status"]).toBe("number");
    expect(JSON.stringify(error.toJSON())).not.toContain("secret");
  });

  const laterLies: readonly (readonly [string, string, Handler])[] = [
    ["another start", "http-range-mismatch", (_q, r, { last }) => answer(r, { first: 11, last })],
    ["a shorter range", "http-range-mismatch", (_q, r, { first, last }) => answer(r, { first, last: last - 1 })],
    ["a longer range", "http-range-mismatch", (_q, r, { first, last }) => answer(r, { first, last: last + 1 })],
    ["no Content-Range", "http-range-mismatch", (_q, r) => r.writeHead(206).end(content.slice(10, 60))],
    [
      "fewer bytes than its range",
      "http-truncated",
      (_q, r) => r.writeHead(206, { "content-range": "bytes 10-59/1000" }).end(content.slice(10, 59)),
    ],
    [
      "more bytes than its range",
      "http-range-mismatch",
      (_q, r) => r.writeHead(206, { "content-range": "bytes 10-59/1000" }).end(content.slice(10, 61)),
    ],
    [
      "a smaller total",
      "http-changed",
      (_q, r) => r.writeHead(206, { "content-range": "bytes 10-59/999" }).end(content.slice(10, 60)),
    ],
    ["416, as the file shrank", "http-changed", (_q, r) => r.writeHead(416, { "content-range": "bytes */5" }).end()],
    ["the whole file", "http-range-mismatch", (_q, r) => r.writeHead(200).end(content)],
    [
      "gzip",
      "http-encoding",
      (_q, r) => r.writeHead(206, { "content-range": "bytes 10-59/1000", "content-encoding": "br" }).end("x"),
    ],
    ["an HTML page", "http-html", (_q, r) => r.writeHead(200, { "content-type": "text/html" }).end("<html>")],
  ];
  it.each(laterLies)("later sends %s: %s", async (_name, code, lie) => {
    handler = afterProbe(lie);
    const source = await open();
    expect(await codeOf(source.read(10, 50))).toBe(code);
  });

  it("drops the connection inside a range", async () => {
    handler = afterProbe((_request, response) => {
      response.writeHead(206, { "content-range": "bytes 10-59/1000", "content-length": 50 }).write(content.slice(10, 30));
      setImmediate(() => response.destroy());
    });
    const source = await open();
    expect(await codeOf(source.read(10, 50))).toBe("http-truncated");
  });

  it("changes the file: with If-Range it sends 200, without it another ETag or date", async () => {
    handler = afterProbe((_request, response) => response.writeHead(200, { etag: '"v2"' }).end(content), { etag: '"v1"' });
    expect(await codeOf((await open()).read(10, 50))).toBe("http-changed");
    requests = [];
    handler = afterProbe((_request, response) => response.writeHead(200).end(content), { etag: '"v1"' });
    expect(await codeOf((await open()).read(10, 50))).toBe("http-changed");
    requests = [];
    handler = afterProbe((_request, response, range) => answer(response, range, { etag: '"v2"' }), { etag: '"v1"' });
    expect(await codeOf((await open()).read(10, 50))).toBe("http-changed");
    requests = [];
    const dates = ["Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 02 Jan 2026 00:00:00 GMT"];
    handler = afterProbe((_request, response, range) => answer(response, range, { "last-modified": dates[1] }), {
      "last-modified": dates[0],
    });
    expect(await codeOf((await open()).read(10, 50))).toBe("http-changed");
  });
});

describe("statuses and connections", () => {
  it.each([401, 403, 404, 410, 429, 500, 502, 503])("%i, at the opening and later", async (status) => {
    const refuse: Handler = (_request, response) => response.writeHead(status, { "retry-after": "30" }).end("<html>no</html>");
    handler = refuse;
    const error = await failure(open());
    expect(error.code).toBe(`http-${status}`);
    expect(error.data).toMatchObject({ url: `${origin}/folder/model.gguf`, status });
    expect(error.hint).toBeTruthy();
    if (status === 429) expect(error.hint).toContain("30");
    requests = [];
    handler = afterProbe(refuse);
    expect(await codeOf((await open()).read(0, 5))).toBe(`http-${status}`);
  });

  it("says when nothing answers, without the query", async () => {
    const closed = createServer();
    const address = await listen(closed);
    await closeServer(closed);
    const error = await failure(openHttpSource(`${address}/m.gguf?token=secret`));
    expect(error.code).toBe("network-failed");
    expect(JSON.stringify(error.toJSON())).not.toContain("secret");
  });

  it("refuses URLs of other kinds and with passwords, and does not repeat them", async () => {
    for (const url of [
      "ftp://example.com/m.gguf",
      "file:///etc/passwd",
      "not a url",
      "https://user:secret@example.com/m.gguf",
      "ftp://u:secret@x/m?secret",
    ]) {
      const error = await openHttpSource(url).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "bad-url" });
      expect(String(error)).not.toContain("secret");
    }
  });
});

describe("aborting", () => {
  it("before, while waiting for an answer, and inside a body; at the opening and in a read", async () => {
    const stalls: readonly Handler[] = [
      () => {},
      (_request, response) => void response.writeHead(206, { "content-range": "bytes 0-9/1000" }).write("x"),
      (_request, response) => void response.writeHead(200, { "content-length": 1000 }).write("x"),
    ];
    await expect(open({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
    expect(requests.length).toBe(0);
    for (const stall of stalls) {
      const opening = new AbortController();
      handler = (request, response, range) => {
        stall(request, response, range);
        setImmediate(() => opening.abort());
      };
      await expect(open({ signal: opening.signal })).rejects.toMatchObject({ name: "AbortError" });
    }
    for (const stall of stalls.slice(0, 2)) {
      requests = [];
      const reading = new AbortController();
      handler = afterProbe((request, response, range) => {
        stall(request, response, range);
        setImmediate(() => reading.abort());
      });
      const source = await open();
      await expect(source.read(0, 10, reading.signal)).rejects.toMatchObject({ name: "AbortError" });
      await expect(source.read(0, 10, AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
    }
  });

  it("with a reason gives the reason, and works with a fetch that ignores signals", async () => {
    const controller = new AbortController();
    const reason = new Error("my reason");
    const stalled: typeof fetch = async () => {
      setImmediate(() => controller.abort(reason));
      return new Response(new ReadableStream({ pull: () => new Promise(() => {}) }), { status: 200 });
    };
    await expect(open({ fetch: stalled, signal: controller.signal })).rejects.toBe(reason);
  });
});
