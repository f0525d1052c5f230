/**
 * A source over HTTP(S) by range requests, or by one streamed download where the server ignores ranges. Trusts no header: every
 * answer is checked for its range, length and version, so a read gives exactly the bytes asked for or throws.
 * Source: RFC 9110 §14 (ranges), §13.1.5 (If-Range). Leaves out caching, resuming and retries.
 */
import { ConfigError, type NetworkError } from "../errors.ts";
import { type ByteSource, checkRange } from "./byte-source.ts";
import { parseContentRange, readExactly, readToEnd } from "./http-body.ts";
import { type HttpTarget, httpError, netError, statusError } from "./http-errors.ts";
import { sourceClosedError } from "./memory.ts";

export interface HttpSourceOptions {
  /** Sent with every request, e.g. `{ authorization: "Bearer …" }`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Replaces the platform's `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Aborts the opening (and the download, where ranges are ignored); reads take their own. */
  readonly signal?: AbortSignal | undefined;
}

/** What identifies one version of the remote file. */
interface Validator {
  readonly etag: string | null;
  readonly lastModified: string | null;
}

type Fetch = (range: string, signal: AbortSignal | undefined, ifRange?: string) => Promise<Response>;

/**
 * Opens `url` and learns its size with a request for two bytes.
 * @throws NetworkError `http-<status>`, `http-range-mismatch`, `http-changed`, `http-html`, `http-encoding`, `http-truncated`,
 *   `network-failed`; ConfigError `bad-url`; AbortError.
 */
export async function openHttpSource(url: string | URL, options: HttpSourceOptions = {}): Promise<ByteSource> {
  const { target, href } = parseUrl(url);
  const request: Fetch = async (range, signal, ifRange) => {
    signal?.throwIfAborted();
    const headers = new Headers(options.headers);
    headers.set("range", range);
    if (ifRange !== undefined) headers.set("if-range", ifRange);
    try {
      return await (options.fetch ?? globalThis.fetch)(href, { headers, signal: signal ?? null });
    } catch (cause) {
      signal?.throwIfAborted();
      throw netError(target, cause);
    }
  };

  const { signal } = options;
  // two bytes: the widespread sirv (Vite, SvelteKit) takes the last position 0 for "to the end"
  const response = await request("bytes=0-1", signal);
  assertNotHtml(target, response);
  if (response.status === 200) return downloadedSource(target, response, signal);
  if (response.status === 416 && response.headers.get("content-range")?.trim() === "bytes */0") {
    await discard(response);
    return rangeSource(target, request, 0, validatorOf(response));
  }
  if (response.status !== 206) throw await statusError(target, response);
  assertIdentity(target, response);
  const range = parseContentRange(response.headers.get("content-range"));
  if (range === null || range.total === null) {
    await discard(response);
    throw httpError(
      "http-range-mismatch",
      target,
      response,
      `answered a range without a usable Content-Range (${contentRange(response)})`,
      {
        hint: "The server must send Content-Range with the total size; across origins it must also list it in Access-Control-Expose-Headers.",
      },
    );
  }
  const nProbed = Math.min(2, range.total);
  if (range.first !== 0 || range.last !== nProbed - 1) throw await mismatch(target, response, "bytes 0-1");
  await readExactly(target, response, nProbed, signal);
  return rangeSource(target, request, range.total, validatorOf(response));
}

function rangeSource(target: HttpTarget, request: Fetch, size: number, version: Validator): ByteSource {
  const range = { name: target.name, size };
  // A weak tag must not be sent in If-Range (RFC 9110 §13.1.5); it is still compared afterwards.
  const ifRange = version.etag?.startsWith('"') ? version.etag : undefined;
  let isClosed = false;
  return {
    ...range,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      if (isClosed) throw sourceClosedError(target.name);
      checkRange(range, offset, length);
      if (length === 0) return new Uint8Array(0);
      const last = offset + length - 1;
      const response = await request(`bytes=${offset}-${last}`, signal, ifRange);
      if (response.status === 206) {
        assertIdentity(target, response);
        await assertSameVersion(target, response, version);
        const got = parseContentRange(response.headers.get("content-range"));
        if (got?.total !== undefined && got.total !== null && got.total !== size) {
          throw await changed(target, response, `now has ${got.total} bytes instead of ${size}`);
        }
        if (got === null || got.first !== offset || got.last !== last)
          throw await mismatch(target, response, `bytes ${offset}-${last}`);
        return readExactly(target, response, length, signal);
      }
      if (response.status === 200) {
        assertNotHtml(target, response);
        await assertSameVersion(target, response, version);
        if (ifRange !== undefined) throw await changed(target, response, "no longer matches its ETag");
        throw await mismatch(target, response, `bytes ${offset}-${last}`);
      }
      if (response.status === 416) throw await changed(target, response, `no longer has bytes ${offset}-${last}`);
      throw await statusError(target, response);
    },
    async close() {
      isClosed = true;
    },
  };
}

/** The server ignores ranges: read the body once and keep it. */
async function downloadedSource(target: HttpTarget, response: Response, signal: AbortSignal | undefined): Promise<ByteSource> {
  const chunks = await readToEnd(target, response, signal);
  const size = chunks.size;
  const range = { name: target.name, size };
  let isClosed = false;
  return {
    ...range,
    async read(offset, length, readSignal) {
      readSignal?.throwIfAborted();
      if (isClosed) throw sourceClosedError(target.name);
      checkRange(range, offset, length);
      return chunks.read(offset, length);
    },
    async close() {
      isClosed = true;
      chunks.clear();
    },
  };
}

function parseUrl(url: string | URL): { target: HttpTarget; href: string } {
  const base = (globalThis as { location?: { href?: string } }).location?.href;
  const text = String(url);
  const parsed = URL.canParse(text, base) ? new URL(text, base) : null;
  if (parsed === null || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) {
    throw new ConfigError(
      "bad-url",
      `bytes: '${text.replace(/[?#].*$/s, "").replace(/\/\/[^/]*@/, "//")}' is not an http or https URL`,
    );
  }
  if (parsed.username !== "" || parsed.password !== "") {
    throw new ConfigError("bad-url", `bytes: the URL of '${parsed.host}${parsed.pathname}' holds a user name or a password`, {
      hint: "Pass them in the authorization header instead.",
    });
  }
  // Queries carry signatures and secrets; they stay out of messages.
  return { target: { name: `${parsed.origin}${parsed.pathname}` }, href: parsed.href };
}

function validatorOf(response: Response): Validator {
  return { etag: response.headers.get("etag"), lastModified: response.headers.get("last-modified") };
}

async function assertSameVersion(target: HttpTarget, response: Response, version: Validator): Promise<void> {
  const now = validatorOf(response);
  for (const [name, before, after] of [
    ["ETag", version.etag, now.etag],
    ["Last-Modified", version.lastModified, now.lastModified],
  ] as const) {
    if (before !== null && after !== null && before !== after) {
      throw await changed(target, response, `changed while it was read (${name} was ${before}, is ${after})`);
    }
  }
}

function assertNotHtml(target: HttpTarget, response: Response): void {
  if (!response.ok || !/^\s*(?:text\/html|application\/xhtml\+xml)/i.test(response.headers.get("content-type") ?? "")) return;
  void response.body?.cancel().catch(ignoreCancel);
  throw httpError("http-html", target, response, "answered with an HTML page instead of a file", {
    hint: "Use the direct download link of the file, not the page that shows it.",
  });
}

function assertIdentity(target: HttpTarget, response: Response): void {
  const encoding = response.headers.get("content-encoding")?.trim().toLowerCase();
  if (encoding === undefined || encoding === "" || encoding === "identity") return;
  void response.body?.cancel().catch(ignoreCancel);
  throw httpError("http-encoding", target, response, `compressed a range (Content-Encoding: ${encoding})`, {
    hint: "Turn compression off for .gguf files on the server.",
  });
}

async function mismatch(target: HttpTarget, response: Response, asked: string): Promise<NetworkError> {
  await discard(response);
  return httpError("http-range-mismatch", target, response, `was asked for ${asked} and answered ${contentRange(response)}`, {
    hint: "The server or a proxy before it handles Range requests wrongly.",
  });
}

async function changed(target: HttpTarget, response: Response, what: string): Promise<NetworkError> {
  await discard(response);
  return httpError("http-changed", target, response, what, { hint: "The file was replaced on the server; load it again." });
}

function contentRange(response: Response): string {
  const header = response.headers.get("content-range");
  return header === null ? `status ${response.status} without Content-Range` : `'${header.slice(0, 80)}'`;
}

/** Lets the connection go; what happens to a body that nobody wants does not matter. */
async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(ignoreCancel);
}

function ignoreCancel(): void {}
