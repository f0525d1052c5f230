/**
 * Reads the header of a GGUF file, versions 2 and 3, little-endian: metadata and tensor directory, not the weights.
 * Source: https://github.com/ggml-org/ggml/blob/9d325133eed396b7bf005a53a83d9747cbd8bde1/docs/gguf.md. Files are hostile:
 * every count is compared with the bytes that remain before anything is allocated, and every step consumes bytes.
 */
import type { ByteSource } from "../bytes/byte-source.ts";
import { GgufError, LmError } from "../errors.ts";
import { tensorBytes } from "../quant/geometry.ts";
import { HeaderCursor } from "./cursor.ts";
import { alignUp, DEFAULT_ALIGNMENT, GGUF_LIMITS, MIN_ENTRY_BYTES, MIN_TENSOR_BYTES } from "./limits.ts";
import { type GgufEntry, type GgufFile, GgufMetadata, type GgufTensor, quoted, typeText } from "./metadata.ts";
import { looksLike } from "./sniff.ts";
import { resolveTypes, type TypedTensor } from "./types.ts";
import { type ArrayBudget, readName, readTypedValue } from "./values.ts";

export interface ReadGgufOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes per read of the source, for tests. */
  readonly windowBytes?: number | undefined;
}

/** A directory record before its type and place are checked. */
interface RawTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly typeId: number;
  readonly recordOffset: number;
  readonly typeOffset: number;
  /** Relative to the data section. */
  readonly offset: number;
  readonly offsetOffset: number;
}

/**
 * Reads metadata and tensor directory of the GGUF file in `source`.
 * @throws GgufError with a code per rule; UnsupportedError for a tensor type that is known and refused; what `source` throws.
 */
export async function readGguf(source: ByteSource, options: ReadGgufOptions = {}): Promise<GgufFile> {
  const cursor = new HeaderCursor(source, options.signal, options.windowBytes);
  const { version, nTensors, nEntries } = await readHeader(cursor, source);
  const metadata = new GgufMetadata(await readEntries(cursor, nEntries));
  const alignment = readAlignment(metadata);
  const raw = await readDirectory(cursor, nTensors);
  const dataOffset = alignUp(cursor.position, alignment);
  const tensors = placeTensors(raw, { source, metadata, alignment, dataOffset });
  return { version, alignment, metadata, tensors, dataOffset, size: source.size };
}

async function readHeader(cursor: HeaderCursor, source: ByteSource) {
  const head = await cursor.peekStart(512);
  const magic = [0x47, 0x47, 0x55, 0x46];
  if (head.length === 0 || magic.some((byte, i) => i < head.length && head[i] !== byte)) {
    const kind = looksLike(head, source.size);
    throw new GgufError("gguf-magic", `gguf: '${source.name}' is not a GGUF file; it looks like ${kind}`, 0, {
      data: { looksLike: kind },
      hint: "Choose a file whose name ends in .gguf.",
    });
  }
  await cursor.need(24, "the header");
  cursor.u32();
  const version = cursor.u32();
  if (version !== 2 && version !== 3) throw versionError(version);
  const nTensors = checkCount(cursor.u64(), "tensor", 8, cursor.remaining - 8, MIN_TENSOR_BYTES, GGUF_LIMITS.tensors);
  const nEntries = checkCount(cursor.u64(), "key", 16, cursor.remaining, MIN_ENTRY_BYTES, GGUF_LIMITS.keys);
  return { version, nTensors, nEntries };
}

function versionError(version: number): GgufError {
  const isSwapped = version !== 0 && (version & 0xffff) === 0;
  const why = isSwapped
    ? "; it looks like a big-endian file, which is not supported"
    : version === 1
      ? "; convert the model again"
      : "";
  return new GgufError(
    isSwapped ? "gguf-big-endian" : "gguf-version",
    `gguf: the version at byte 4 is ${version}; must be 2 or 3${why}`,
    4,
    { data: { version } },
  );
}

function checkCount(count: number | bigint, what: string, at: number, left: number, minBytes: number, limit: number): number {
  const most = Math.min(limit, Math.floor(left / minBytes));
  if (count <= most) return Number(count);
  throw new GgufError(
    `gguf-${what}-count`,
    `gguf: the ${what} count at byte ${at} is ${count}; the ${left} bytes that follow hold at most ${most}`,
    at,
    { data: { count: String(count), most }, hint: "The file is cut short or damaged; download it again." },
  );
}

async function readEntries(cursor: HeaderCursor, n: number): Promise<GgufEntry[]> {
  const entries: GgufEntry[] = [];
  const seen = new Map<string, number>();
  const budget: ArrayBudget = { nNested: 0 };
  for (let i = 0; i < n; i++) {
    const byteOffset = cursor.position;
    const key = await readName(cursor, `key ${i}`, GGUF_LIMITS.keyBytes);
    const earlier = seen.get(key);
    if (earlier !== undefined) {
      throw new GgufError(
        "gguf-duplicate-key",
        `gguf: key ${quoted(key)} at byte ${byteOffset} was already given at byte ${earlier}`,
        byteOffset,
        { data: { key: key.slice(0, 256) } },
      );
    }
    seen.set(key, byteOffset);
    entries.push({ key, byteOffset, ...(await readTypedValue(cursor, `the value of key ${quoted(key)}`, budget)) });
  }
  return entries;
}

function readAlignment(metadata: GgufMetadata): number {
  const entry = metadata.entry("general.alignment");
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  const where = `key 'general.alignment' at byte ${entry.byteOffset}`;
  if (entry.type !== "u32") {
    throw new GgufError("gguf-key-type", `gguf: ${where} is ${typeText(entry)}; must be u32`, entry.byteOffset, {
      data: { key: entry.key, got: typeText(entry), expected: "u32" },
    });
  }
  const alignment = entry.value as number;
  const { minAlignment, maxAlignment } = GGUF_LIMITS;
  const isPowerOfTwo = Number.isInteger(Math.log2(alignment));
  if (isPowerOfTwo && alignment >= minAlignment && alignment <= maxAlignment) return alignment;
  throw new GgufError(
    "gguf-alignment",
    `gguf: ${where} is ${alignment}; must be a power of two from ${minAlignment} to ${maxAlignment}`,
    entry.byteOffset,
    { data: { alignment } },
  );
}

async function readDirectory(cursor: HeaderCursor, n: number): Promise<RawTensor[]> {
  const tensors: RawTensor[] = [];
  const names = new Set<string>();
  for (let i = 0; i < n; i++) {
    const recordOffset = cursor.position;
    const name = await readName(cursor, `the name of tensor ${i}`, GGUF_LIMITS.nameBytes);
    if (names.has(name)) {
      throw new GgufError(
        "gguf-duplicate-tensor",
        `gguf: a second tensor is called ${quoted(name)} at byte ${recordOffset}`,
        recordOffset,
        { data: { tensor: name } },
      );
    }
    names.add(name);
    const shape = await readShape(cursor, name);
    await cursor.need(12, `the type of tensor ${quoted(name)}`);
    const typeOffset = cursor.position;
    const typeId = cursor.u32();
    const offsetOffset = cursor.position;
    const offset = cursor.u64();
    if (typeof offset === "bigint") throw beyondEnd(name, offset, offsetOffset);
    tensors.push({ name, shape, typeId, recordOffset, typeOffset, offset, offsetOffset });
  }
  return tensors;
}

async function readShape(cursor: HeaderCursor, name: string): Promise<number[]> {
  const at = cursor.position;
  await cursor.need(4, `the dimension count of tensor ${quoted(name)}`);
  const nDims = cursor.u32();
  if (nDims < 1 || nDims > GGUF_LIMITS.dims) {
    throw new GgufError(
      "gguf-dim-count",
      `gguf: tensor ${quoted(name)} has ${nDims} dimensions at byte ${at}; must be 1 to ${GGUF_LIMITS.dims}`,
      at,
      { data: { tensor: name, nDims } },
    );
  }
  await cursor.need(8 * nDims, `the dimensions of tensor ${quoted(name)}`);
  const shape: number[] = [];
  for (let i = 0; i < nDims; i++) {
    const dimOffset = cursor.position;
    const dim = cursor.u64();
    if (dim < 1 || dim > GGUF_LIMITS.dim) {
      throw new GgufError(
        "gguf-dim",
        `gguf: dimension ${i} of tensor ${quoted(name)} at byte ${dimOffset} is ${dim}; must be 1 to ${GGUF_LIMITS.dim}`,
        dimOffset,
        { data: { tensor: name, dim: String(dim) } },
      );
    }
    shape.push(Number(dim));
  }
  return shape;
}

interface Placement {
  readonly source: ByteSource;
  readonly metadata: GgufMetadata;
  readonly alignment: number;
  readonly dataOffset: number;
}

/** Checks where every tensor lies and decides what its type id means. Gaps are allowed, overlaps are not. */
function placeTensors(raw: readonly RawTensor[], placement: Placement): GgufTensor[] {
  if (raw.length === 0) return [];
  const { source, metadata, alignment, dataOffset } = placement;
  if (dataOffset > source.size) {
    throw new GgufError(
      "gguf-truncated",
      `gguf: the data section should begin at byte ${dataOffset}, but the file has ${source.size} bytes`,
      source.size,
    );
  }
  const dataSize = source.size - dataOffset;
  const placed: (RawTensor & TypedTensor)[] = raw.map((tensor, i) => {
    checkOffset(tensor, raw[i - 1], alignment, dataSize);
    return { ...tensor, room: (raw[i + 1]?.offset ?? dataSize) - tensor.offset };
  });
  const types = resolveTypes(placed, metadata.string("general.architecture"), alignment);
  return placed.map((tensor, i) => {
    const { format, isCertain } = types.get(tensor.typeId)!;
    const nBytes = sizeOf(tensor, format);
    if (nBytes > tensor.room) throw tooBig(tensor, format, nBytes, i + 1 === placed.length, dataOffset);
    if (!isCertain) {
      throw new GgufError(
        "gguf-type-size",
        `gguf: tensor ${quoted(tensor.name)} of type ${tensor.typeId} at byte ${tensor.typeOffset} occupies ${tensor.room} bytes; no meaning of this id has that size (${format}: ${nBytes})`,
        tensor.typeOffset,
        { data: { tensor: tensor.name, typeId: tensor.typeId, room: tensor.room, nBytes } },
      );
    }
    const { name, shape, typeId } = tensor;
    return { name, shape, typeId, format, byteOffset: dataOffset + tensor.offset, nBytes };
  });
}

function checkOffset(tensor: RawTensor, previous: RawTensor | undefined, alignment: number, dataSize: number): void {
  const { name, offset, offsetOffset } = tensor;
  const where = `gguf: tensor ${quoted(name)} has offset ${offset} at byte ${offsetOffset}`;
  const data = { tensor: name, offset };
  if (offset % alignment !== 0) {
    throw new GgufError("gguf-tensor-alignment", `${where}; must be a multiple of ${alignment}`, offsetOffset, { data });
  }
  if (offset >= dataSize) throw beyondEnd(name, offset, offsetOffset, dataSize);
  if (previous === undefined || offset > previous.offset) return;
  const code = offset === previous.offset ? "gguf-tensor-overlap" : "gguf-tensor-order";
  throw new GgufError(code, `${where}; must lie behind tensor ${quoted(previous.name)} at ${previous.offset}`, offsetOffset, {
    data,
  });
}

function beyondEnd(name: string, offset: number | bigint, at: number, dataSize?: number): GgufError {
  const allowed = dataSize === undefined ? "more than any file has" : `the data section has ${dataSize} bytes`;
  return new GgufError("gguf-tensor-offset", `gguf: tensor ${quoted(name)} has offset ${offset} at byte ${at}; ${allowed}`, at, {
    data: { tensor: name, offset: String(offset) },
    hint: "The file is cut short or damaged; download it again.",
  });
}

function sizeOf(tensor: RawTensor, format: GgufTensor["format"]): number {
  try {
    return tensorBytes(format, tensor.shape);
  } catch (error) {
    if (!(error instanceof LmError)) throw error;
    const code = error.code === "quant-row-length" ? "gguf-row-length" : "gguf-tensor-size";
    throw new GgufError(
      code,
      `gguf: tensor ${quoted(tensor.name)} at byte ${tensor.recordOffset}: ${error.message}`,
      tensor.recordOffset,
      {
        data: { ...error.data, tensor: tensor.name },
        cause: error,
      },
    );
  }
}

function tooBig(tensor: RawTensor & TypedTensor, format: string, nBytes: number, isLast: boolean, dataOffset: number): GgufError {
  const at = dataOffset + tensor.offset;
  const end = isLast ? "the end of the file" : "the next tensor";
  return new GgufError(
    isLast ? "gguf-tensor-truncated" : "gguf-tensor-overlap",
    `gguf: tensor ${quoted(tensor.name)} (${format}, [${tensor.shape.join(", ")}]) at byte ${at} needs ${nBytes} bytes, but ${end} comes after ${tensor.room}`,
    at,
    {
      data: { tensor: tensor.name, format, nBytes, room: tensor.room },
      hint: isLast
        ? "The file is cut short; download it again."
        : `The file is damaged, or type ${tensor.typeId} means another format in it.`,
    },
  );
}
