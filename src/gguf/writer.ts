/**
 * Writes GGUF versions 2 and 3, little-endian: the whole file, or the header alone so that a caller can stream the tensors.
 * Source: https://github.com/ggml-org/ggml/blob/9d325133eed396b7bf005a53a83d9747cbd8bde1/docs/gguf.md. What it writes, `readGguf` reads.
 */
import { type PackedStrings, packedBytes, packedCount } from "../bytes/packed-strings.ts";
import { ConfigError } from "../errors.ts";
import { type FormatName, tensorBytes } from "../quant/geometry.ts";
import { alignUp, DEFAULT_ALIGNMENT } from "./limits.ts";
import type { GgufScalarType, GgufValue } from "./metadata.ts";
import { quoted } from "./metadata.ts";
import { typeIdOf } from "./types.ts";
import { VALUE_BYTES, VALUE_TYPES } from "./values.ts";

/** A key to write; arrays may be typed arrays, PackedStrings, or plain arrays of strings, numbers or bools. */
export interface GgufWriteEntry {
  readonly key: string;
  readonly type: GgufScalarType | "array";
  readonly elementType?: GgufScalarType | "array" | undefined;
  readonly value: GgufValue;
}

/** A tensor of the directory: its `format`, or a raw `typeId` with the number of bytes. */
export type GgufWriteRecord = { readonly name: string; readonly shape: readonly number[] } & (
  | { readonly format: FormatName; readonly typeId?: undefined }
  | { readonly typeId: number; readonly nBytes: number; readonly format?: undefined }
);

/** A tensor with its bytes. */
export type GgufWriteTensor = { readonly name: string; readonly shape: readonly number[]; readonly data: Uint8Array } & (
  | { readonly format: FormatName; readonly typeId?: undefined }
  | { readonly typeId: number; readonly format?: undefined }
);

export interface GgufHeaderInput {
  readonly version?: 2 | 3 | undefined;
  /** Default: the value of `general.alignment`, else 32. Written as that key when it is not 32. */
  readonly alignment?: number | undefined;
  readonly metadata: readonly GgufWriteEntry[];
  readonly tensors: readonly GgufWriteRecord[];
}

export interface GgufInput extends Omit<GgufHeaderInput, "tensors"> {
  readonly tensors: readonly GgufWriteTensor[];
}

/** The header and where the tensors go; zeros fill what lies between them. */
export interface GgufHeader {
  /** From byte 0 to `dataOffset`, padding included. */
  readonly bytes: Uint8Array;
  readonly dataOffset: number;
  /** In order; `byteOffset` is absolute. */
  readonly tensors: readonly { readonly name: string; readonly byteOffset: number; readonly nBytes: number }[];
  /** Bytes of the whole file, the last tensor's padding included. */
  readonly size: number;
}

/** The file as one array. @throws ConfigError `gguf-write`; what `ggufHeader` throws. */
export function writeGguf(input: GgufInput): Uint8Array {
  const header = ggufHeader({
    ...input,
    tensors: input.tensors.map(({ name, shape, data, ...type }) =>
      type.format === undefined
        ? { name, shape, typeId: type.typeId, nBytes: data.length }
        : { name, shape, format: type.format },
    ),
  });
  const file = new Uint8Array(header.size);
  file.set(header.bytes);
  for (const [i, { data }] of input.tensors.entries()) {
    const { name, byteOffset, nBytes } = header.tensors[i]!;
    if (data.length !== nBytes) throw writeError(`tensor ${quoted(name)} has ${data.length} bytes; must have ${nBytes}`);
    file.set(data, byteOffset);
  }
  return file;
}

/**
 * The header of a file, for writing the tensors one by one behind it.
 * @throws ConfigError `gguf-write` for a value outside its type, a duplicate name or a bad alignment; what `tensorBytes` throws.
 */
export function ggufHeader(input: GgufHeaderInput): GgufHeader {
  const { alignment, metadata } = withAlignment(input);
  assertUnique(metadata.map((entry) => entry.key));
  assertUnique(input.tensors.map((tensor) => tensor.name));
  const out = new ByteBuilder();
  out.bytes(new Uint8Array([0x47, 0x47, 0x55, 0x46]));
  out.scalar("u32", input.version ?? 3);
  out.scalar("u64", input.tensors.length);
  out.scalar("u64", metadata.length);
  for (const { key, type, elementType, value } of metadata) {
    out.string(key);
    out.type(type);
    if (type === "array") writeArray(out, elementType ?? elementTypeOf(value), value);
    else out.scalar(type, value);
  }

  let offset = 0;
  const placed = input.tensors.map((tensor) => {
    const nBytes = tensor.format === undefined ? tensor.nBytes : tensorBytes(tensor.format, tensor.shape);
    out.string(tensor.name);
    out.scalar("u32", tensor.shape.length);
    for (const dim of tensor.shape) out.scalar("u64", dim);
    out.scalar("u32", tensor.format === undefined ? tensor.typeId : typeIdOf(tensor.format));
    out.scalar("u64", offset);
    const at = offset;
    offset = alignUp(offset + nBytes, alignment);
    return { name: tensor.name, at, nBytes };
  });
  const dataOffset = alignUp(out.length, alignment);
  out.bytes(new Uint8Array(dataOffset - out.length));
  return {
    bytes: out.finish(),
    dataOffset,
    tensors: placed.map(({ name, at, nBytes }) => ({ name, byteOffset: dataOffset + at, nBytes })),
    size: dataOffset + offset,
  };
}

function withAlignment(input: GgufHeaderInput): { alignment: number; metadata: readonly GgufWriteEntry[] } {
  const entry = input.metadata.find(({ key }) => key === "general.alignment");
  const alignment = input.alignment ?? (entry === undefined ? DEFAULT_ALIGNMENT : Number(entry.value));
  if (!Number.isInteger(Math.log2(alignment)) || alignment < 8)
    throw writeError(`alignment ${alignment} must be a power of two from 8`);
  if (entry !== undefined) {
    if (entry.type !== "u32" || entry.value !== alignment) throw writeError(`'general.alignment' must be the u32 ${alignment}`);
    return { alignment, metadata: input.metadata };
  }
  if (alignment === DEFAULT_ALIGNMENT) return { alignment, metadata: input.metadata };
  return { alignment, metadata: [...input.metadata, { key: "general.alignment", type: "u32", value: alignment }] };
}

function writeArray(out: ByteBuilder, elementType: GgufScalarType | "array", value: GgufValue): void {
  out.type(elementType);
  if (isPackedStrings(value)) {
    if (elementType !== "string") throw writeError(`an array of ${elementType} cannot hold strings`);
    const n = packedCount(value);
    out.scalar("u64", n);
    for (let i = 0; i < n; i++) out.lengthAndBytes(packedBytes(value, i));
    return;
  }
  if (typeof value !== "object") throw writeError(`an array of ${elementType} cannot be ${typeof value}`);
  if (ArrayBuffer.isView(value) && elementTypeOf(value) === elementType) {
    out.scalar("u64", value.length);
    out.bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    return;
  }
  const items = value as ArrayLike<GgufValue>;
  out.scalar("u64", items.length);
  for (let i = 0; i < items.length; i++) {
    const item = items[i]!;
    if (elementType === "array") writeArray(out, elementTypeOf(item), item);
    else out.scalar(elementType, item);
  }
}

/** The element type that a value shows by its class. */
function elementTypeOf(value: GgufValue): GgufScalarType | "array" {
  if (isPackedStrings(value)) return "string";
  for (const [type, isIt] of TYPED_ARRAYS) if (isIt(value)) return type;
  if (Array.isArray(value)) {
    const first: unknown = value[0];
    if (first === undefined || typeof first === "boolean") return "bool";
    if (typeof first === "string") return "string";
    if (typeof first === "object") return "array";
  }
  throw writeError("an array needs `elementType`, or must be a typed array");
}

const TYPED_ARRAYS: readonly (readonly [GgufScalarType, (value: unknown) => boolean])[] = [
  ["u8", (value) => value instanceof Uint8Array],
  ["i8", (value) => value instanceof Int8Array],
  ["u16", (value) => value instanceof Uint16Array],
  ["i16", (value) => value instanceof Int16Array],
  ["u32", (value) => value instanceof Uint32Array],
  ["i32", (value) => value instanceof Int32Array],
  ["f32", (value) => value instanceof Float32Array],
  ["f64", (value) => value instanceof Float64Array],
  ["u64", (value) => value instanceof BigUint64Array],
  ["i64", (value) => value instanceof BigInt64Array],
];

function isPackedStrings(value: GgufValue): value is PackedStrings {
  return typeof value === "object" && "offsets" in value && "bytes" in value;
}

function assertUnique(names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (name === "" || seen.has(name)) throw writeError(`the name ${quoted(name)} is ${name === "" ? "empty" : "given twice"}`);
    seen.add(name);
  }
}

function writeError(what: string): ConfigError {
  return new ConfigError("gguf-write", `gguf: cannot write: ${what}`);
}

const encoder = new TextEncoder();

/** Bounds of the integer types, inclusive. */
const RANGES: Readonly<Partial<Record<GgufScalarType, readonly [bigint, bigint]>>> = {
  u8: [0n, 255n],
  i8: [-128n, 127n],
  u16: [0n, 65_535n],
  i16: [-32_768n, 32_767n],
  u32: [0n, 2n ** 32n - 1n],
  i32: [-(2n ** 31n), 2n ** 31n - 1n],
  u64: [0n, 2n ** 64n - 1n],
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
};

/** Bytes that grow at the end. */
class ByteBuilder {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  type(type: GgufScalarType | "array"): void {
    this.scalar("u32", VALUE_TYPES.indexOf(type));
  }

  string(text: string): void {
    this.lengthAndBytes(encoder.encode(text));
  }

  lengthAndBytes(bytes: Uint8Array): void {
    this.scalar("u64", bytes.length);
    this.bytes(bytes);
  }

  scalar(type: GgufScalarType, value: GgufValue): void {
    if (type === "string") {
      if (typeof value !== "string") throw writeError(`a string cannot be ${typeof value}`);
      this.string(value);
      return;
    }
    if (type === "bool") {
      if (typeof value !== "boolean") throw writeError(`a bool cannot be ${typeof value}`);
      const at = this.#grow(1);
      this.#view.setUint8(at, value ? 1 : 0);
      return;
    }
    if (typeof value !== "number" && typeof value !== "bigint") throw writeError(`${type} cannot be ${typeof value}`);
    if (type === "f32" || type === "f64") {
      const at = this.#grow(VALUE_BYTES[type]);
      if (type === "f32") this.#view.setFloat32(at, Number(value), true);
      else this.#view.setFloat64(at, Number(value), true);
      return;
    }
    const [low, high] = RANGES[type]!;
    if (typeof value === "number" && !Number.isSafeInteger(value))
      throw writeError(`${value} is no exact integer; give a bigint`);
    const whole = BigInt(value);
    if (whole < low || whole > high) throw writeError(`${value} does not fit ${type}`);
    const nBytes = VALUE_BYTES[type];
    const at = this.#grow(nBytes);
    // Two's complement: the low bytes of the 64-bit pattern are the value in any narrower type.
    const pattern = BigInt.asUintN(64, whole);
    this.#view.setBigUint64(at, pattern, true);
    this.#length = at + nBytes;
  }

  #grow(n: number): number {
    const at = this.#length;
    // Eight more than asked, so that a narrow integer can be written as a 64-bit pattern.
    if (at + n + 8 > this.#bytes.length) {
      const more = new Uint8Array(Math.max(2 * this.#bytes.length, at + n + 8));
      more.set(this.#bytes);
      this.#bytes = more;
      this.#view = new DataView(more.buffer);
    }
    this.#length = at + n;
    return at;
  }
}
