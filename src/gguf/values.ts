/**
 * Reads the values of a GGUF header. Strings of an array stay bytes with offsets; scalar strings are decoded, and what is not
 * UTF-8 in them becomes U+FFFD, because a bad byte in a description must not make a model unusable.
 */
import type { PackedStrings } from "../bytes/packed-strings.ts";
import { GgufError } from "../errors.ts";
import type { HeaderCursor } from "./cursor.ts";
import { GGUF_LIMITS } from "./limits.ts";
import type { GgufEntry, GgufScalarType, GgufValue } from "./metadata.ts";

/** Value types by wire id. Source: ggml docs/gguf.md, https://github.com/ggml-org/ggml/blob/9d325133eed396b7bf005a53a83d9747cbd8bde1/docs/gguf.md */
export const VALUE_TYPES = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
] as const;

/** Bytes of one value; for a string and an array the least that one can take. */
export const VALUE_BYTES: Readonly<Record<GgufScalarType | "array", number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  string: 8,
  array: 12,
  u64: 8,
  i64: 8,
  f64: 8,
};

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenientDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Where nested arrays are counted, one for a file. */
export interface ArrayBudget {
  nNested: number;
}

/** A value with its type. */
export type TypedValue = Pick<GgufEntry, "type" | "elementType" | "value">;

/** Reads a type id and the value behind it; `what` names the key in messages. */
export async function readTypedValue(cursor: HeaderCursor, what: string, budget: ArrayBudget): Promise<TypedValue> {
  const type = await readType(cursor, `the type of ${what}`);
  if (type !== "array") return { type, value: await readScalar(cursor, type, what) };
  const { elementType, value } = await readArray(cursor, what, 1, budget);
  return { type, elementType, value };
}

/**
 * Reads a name that must be valid UTF-8 and not empty.
 * @throws GgufError `gguf-string-length`, `gguf-empty-name`, `gguf-name-length`, `gguf-name-utf8`.
 */
export async function readName(cursor: HeaderCursor, what: string, maxBytes: number): Promise<string> {
  const at = cursor.position;
  await cursor.need(8, `the length of ${what}`);
  const length = checkStringLength(cursor, cursor.u64(), at, what);
  if (length === 0) throw new GgufError("gguf-empty-name", `gguf: ${what} at byte ${at} is empty`, at);
  if (length > maxBytes) {
    throw new GgufError(
      "gguf-name-length",
      `gguf: ${what} at byte ${at} has ${length} bytes; at most ${maxBytes} are allowed`,
      at,
      {
        data: { length, maxBytes },
      },
    );
  }
  const bytes = await cursor.bytes(length, what);
  try {
    return strictDecoder.decode(bytes);
  } catch (cause) {
    throw new GgufError("gguf-name-utf8", `gguf: ${what} at byte ${at} is not valid UTF-8`, at, { cause });
  }
}

async function readType(cursor: HeaderCursor, what: string): Promise<GgufScalarType | "array"> {
  const at = cursor.position;
  await cursor.need(4, what);
  const id = cursor.u32();
  const type = VALUE_TYPES[id];
  if (type !== undefined) return type;
  throw new GgufError("gguf-value-type", `gguf: ${what} at byte ${at} is ${id}; must be 0 to ${VALUE_TYPES.length - 1}`, at, {
    data: { valueType: id },
  });
}

async function readScalar(cursor: HeaderCursor, type: GgufScalarType, what: string): Promise<GgufValue> {
  const at = cursor.position;
  await cursor.need(VALUE_BYTES[type], what);
  switch (type) {
    case "bool":
      return checkBool(cursor.u8(), at, what);
    case "string": {
      const length = checkStringLength(cursor, cursor.u64(), at, what);
      return lenientDecoder.decode(await cursor.bytes(length, what));
    }
    default:
      return cursor[type]();
  }
}

async function readArray(
  cursor: HeaderCursor,
  what: string,
  depth: number,
  budget: ArrayBudget,
): Promise<{ elementType: GgufScalarType | "array"; value: GgufValue }> {
  if (depth > GGUF_LIMITS.arrayDepth) {
    throw new GgufError(
      "gguf-array-depth",
      `gguf: ${what} nests arrays more than ${GGUF_LIMITS.arrayDepth} deep at byte ${cursor.position}`,
      cursor.position,
    );
  }
  const elementType = await readType(cursor, `the element type of ${what}`);
  const at = cursor.position;
  await cursor.need(8, `the length of ${what}`);
  const count = cursor.u64();
  const most = Math.floor(cursor.remaining / VALUE_BYTES[elementType]);
  if (count > most) {
    throw new GgufError(
      "gguf-array-length",
      `gguf: ${what} at byte ${at} has ${count} elements of ${elementType}, but the bytes left hold at most ${most}`,
      at,
      { data: { count: String(count), most } },
    );
  }
  const n = Number(count);
  switch (elementType) {
    case "string":
      return { elementType, value: await readStrings(cursor, n, what) };
    case "bool":
      return { elementType, value: await readBools(cursor, n, what) };
    case "array": {
      budget.nNested += n;
      if (budget.nNested > GGUF_LIMITS.nestedArrays) {
        throw new GgufError(
          "gguf-array-nested",
          `gguf: more than ${GGUF_LIMITS.nestedArrays} arrays inside arrays at byte ${at}`,
          at,
        );
      }
      const rows: GgufValue[] = [];
      for (let i = 0; i < n; i++) rows.push((await readArray(cursor, what, depth + 1, budget)).value);
      return { elementType, value: rows };
    }
    default:
      return { elementType, value: typedArray(elementType, await cursor.bytes(n * VALUE_BYTES[elementType], what), n) };
  }
}

/** The hot loop of a vocabulary: no allocation and no await per string. */
async function readStrings(cursor: HeaderCursor, n: number, what: string): Promise<PackedStrings> {
  // Both arrays grow with what was read, so a false count costs nothing.
  let offsets = new Uint32Array(Math.min(n, 65_536) + 1);
  let bytes = new Uint8Array(Math.min(cursor.remaining, 16 * Math.min(n, 65_536)));
  let nBytes = 0;
  for (let i = 0; i < n; i++) {
    if (!cursor.has(8)) await cursor.need(8, `string ${i} of ${what}`);
    const at = cursor.position;
    const length = checkStringLength(cursor, cursor.u64(), at, `string ${i} of ${what}`);
    if (!cursor.has(length)) await cursor.need(length, `string ${i} of ${what}`);
    if (length > bytes.length - nBytes) bytes = grown(bytes, Math.max(2 * bytes.length, nBytes + length));
    cursor.copyTo(bytes, nBytes, length);
    nBytes += length;
    if (i + 1 >= offsets.length) {
      const more = new Uint32Array(Math.min(n, 2 * i) + 1);
      more.set(offsets);
      offsets = more;
    }
    offsets[i + 1] = nBytes;
  }
  return { bytes: bytes.length === nBytes ? bytes : bytes.slice(0, nBytes), offsets };
}

async function readBools(cursor: HeaderCursor, n: number, what: string): Promise<readonly boolean[]> {
  const at = cursor.position;
  if (n > GGUF_LIMITS.bools) {
    throw new GgufError(
      "gguf-array-length",
      `gguf: ${what} at byte ${at} has ${n} bools; at most ${GGUF_LIMITS.bools} are allowed`,
      at,
    );
  }
  const bytes = await cursor.bytes(n, what);
  return Array.from(bytes, (byte, i) => checkBool(byte, at + i, what));
}

function checkBool(byte: number, at: number, what: string): boolean {
  if (byte <= 1) return byte === 1;
  throw new GgufError("gguf-bool", `gguf: ${what} at byte ${at} is a bool of value ${byte}; must be 0 or 1`, at);
}

function checkStringLength(cursor: HeaderCursor, length: number | bigint, at: number, what: string): number {
  const most = Math.min(cursor.remaining, GGUF_LIMITS.stringBytes);
  if (length <= most) return Number(length);
  throw new GgufError(
    "gguf-string-length",
    `gguf: ${what} at byte ${at} has ${length} bytes; at most ${most} are possible here`,
    at,
    {
      data: { length: String(length), most },
      hint: "The file is cut short or damaged; download it again.",
    },
  );
}

function typedArray(type: Exclude<GgufScalarType, "string" | "bool">, bytes: Uint8Array, n: number): GgufValue {
  // A source may hand out a view at any offset; wider elements need an aligned buffer of their own.
  const buffer = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer;
  switch (type) {
    case "u8":
      return new Uint8Array(buffer, 0, n);
    case "i8":
      return new Int8Array(buffer, 0, n);
    case "u16":
      return new Uint16Array(buffer, 0, n);
    case "i16":
      return new Int16Array(buffer, 0, n);
    case "u32":
      return new Uint32Array(buffer, 0, n);
    case "i32":
      return new Int32Array(buffer, 0, n);
    case "f32":
      return new Float32Array(buffer, 0, n);
    case "f64":
      return new Float64Array(buffer, 0, n);
    case "u64":
      return new BigUint64Array(buffer, 0, n);
    case "i64":
      return new BigInt64Array(buffer, 0, n);
  }
}

function grown(bytes: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  const more = new Uint8Array(length);
  more.set(bytes);
  return more;
}
