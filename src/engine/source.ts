/**
 * What a caller may hand in as a model, and how it reaches the worker: a path, a URL or a Blob is described and opened there; anything
 * else stays with the caller, who answers read requests, so that no file is copied whole into a message.
 */
import { blobSource } from "../bytes/blob.ts";
import type { ByteSource } from "../bytes/byte-source.ts";
import { openHttpSource } from "../bytes/http-range.ts";
import { memorySource } from "../bytes/memory.ts";
import { readAhead } from "../bytes/read-ahead.ts";
import { ConfigError, NetworkError, UnsupportedError } from "../errors.ts";

/** A model: path (Node), URL, `File`/`Blob`, bytes, or a source of your own. */
export type ModelSource = string | URL | Blob | Uint8Array | ByteSource;

export interface SourceOptions {
  /** Sent with every request of a URL. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Replaces the platform's `fetch` for a URL. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A source in a form that crosses to the worker. */
export type SourceDescriptor =
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "url"; readonly url: string; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: "blob"; readonly blob: Blob }
  /** Read by asking the other side. */
  | { readonly kind: "remote"; readonly name: string; readonly size: number };

export interface DescribedSource {
  readonly descriptor: SourceDescriptor;
  /** What answers the worker's reads of a `remote` source. */
  readonly remote: ByteSource | null;
}

/** @throws ConfigError `bad-source`, UnsupportedError `source-scheme` */
export async function describeSource(source: ModelSource, options: SourceOptions = {}): Promise<DescribedSource> {
  if (typeof source === "string" || source instanceof URL) return describeText(String(source), options);
  // Node's file-backed Blobs cannot be cloned to a worker: there the caller's side reads
  if (source instanceof Blob)
    return isNode() ? asRemote(blobSource(source)) : { descriptor: { kind: "blob", blob: source }, remote: null };
  if (source instanceof Uint8Array) return asRemote(memorySource(source));
  if (typeof source === "object" && source !== null && typeof source.read === "function" && typeof source.size === "number") {
    return asRemote(source);
  }
  throw new ConfigError(
    "bad-source",
    `load: a model is a path, a URL, a File, bytes or a ByteSource, not ${describeValue(source)}`,
  );
}

async function describeText(text: string, options: SourceOptions): Promise<DescribedSource> {
  if (text.trim() === "") throw new ConfigError("bad-source", "load: the model's path or URL is empty");
  if (text.startsWith("hf:")) {
    throw new UnsupportedError(
      "source-scheme",
      `load: '${text}' names a hub repository; hub sources are not supported in this version`,
      {
        data: { what: "source", found: "hf:", supported: ["path", "http:", "https:", "file:", "blob:"] },
        hint: "Download the GGUF and pass its path, or pass its https: URL.",
      },
    );
  }
  const isUrl = /^(https?|blob|data):/i.test(text);
  if (!isUrl && isNode())
    return { descriptor: { kind: "path", path: text.startsWith("file:") ? pathOf(text) : text }, remote: null };
  if (/^(blob|data):/i.test(text)) return { descriptor: { kind: "blob", blob: await fetchBlob(text, options) }, remote: null };
  const url = new URL(text, isUrl ? undefined : baseUrl()).href;
  if (options.fetch !== undefined) return asRemote(await openHttpSource(url, options));
  return { descriptor: { kind: "url", url, headers: options.headers ?? {} }, remote: null };
}

/** What an object URL or a data: URL names; its bytes stay in the browser's store. */
async function fetchBlob(url: string, { signal }: SourceOptions): Promise<Blob> {
  try {
    const response = await globalThis.fetch(url, { signal: signal ?? null });
    return await response.blob();
  } catch (cause) {
    signal?.throwIfAborted();
    const name = url.slice(0, MAX_SHOWN_URL);
    throw new NetworkError("network-failed", `load: '${name}' names no data that can be read`, {
      data: { url: name },
      cause,
      hint: "It was probably revoked; pass the File or Blob itself.",
    });
  }
}

/** A data: URL holds the whole file. */
const MAX_SHOWN_URL = 64;

/** A path below the page, where there is one. */
function baseUrl(): string | undefined {
  return "location" in globalThis ? globalThis.location.href : undefined;
}

/** True where paths are files: Node, Bun and Deno have `process.versions.node`. */
export function isNode(): boolean {
  return typeof process !== "undefined" && typeof process.versions?.node === "string";
}

function pathOf(fileUrl: string): string {
  return process.getBuiltinModule("node:url").fileURLToPath(fileUrl);
}

function asRemote(remote: ByteSource): DescribedSource {
  return { descriptor: { kind: "remote", name: remote.name, size: remote.size }, remote };
}

function describeValue(value: unknown): string {
  return value === null ? "null" : typeof value === "object" ? (value.constructor?.name ?? "an object") : typeof value;
}

/** Opens a path; only the worker of a runtime with files has it. */
export type OpenPath = (path: string) => Promise<ByteSource>;

/** Opens `descriptor` on the worker's side. */
export async function openDescribed(
  descriptor: SourceDescriptor,
  openPath: OpenPath | null,
  readRemote: (offset: number, length: number, signal?: AbortSignal) => Promise<Uint8Array>,
  signal?: AbortSignal,
): Promise<ByteSource> {
  switch (descriptor.kind) {
    case "path":
      if (openPath === null)
        throw new UnsupportedError("source-scheme", `load: '${descriptor.path}' is a path; this runtime has no files`);
      return openPath(descriptor.path);
    case "url":
      return readAhead(await openHttpSource(descriptor.url, { headers: descriptor.headers, signal }));
    case "blob":
      return blobSource(descriptor.blob);
    case "remote":
      return readAhead({ name: descriptor.name, size: descriptor.size, read: readRemote });
    default:
      throw new Error(descriptor satisfies never);
  }
}
