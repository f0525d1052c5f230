/** Builds GGUF bytes without any check, so that a test can break every rule. A `HERE` among the parts marks a byte offset. */

export const HERE = Symbol("here");
export type Part = Uint8Array | typeof HERE | readonly Part[];

/** Wire ids of value types. */
export const VALUE = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
};

export const u8 = (n: number): Uint8Array => new Uint8Array([n]);

export function u32(n: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, n, true);
  return bytes;
}

/** Two's complement, so -1 is 2^64 - 1. */
export function u64(n: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(n)), true);
  return bytes;
}

export const zeros = (n: number): Uint8Array => new Uint8Array(n);
export const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

export function str(text: string | Uint8Array): Part {
  const bytes = typeof text === "string" ? ascii(text) : text;
  return [u64(bytes.length), bytes];
}

/** A key with a value of wire type `type`. */
export const kv = (key: string | Uint8Array, type: number, ...value: Part[]): Part => [str(key), u32(type), value];
export const architecture = (name: string): Part => kv("general.architecture", VALUE.string, str(name));
export const alignmentKey = (value: number): Part => kv("general.alignment", VALUE.u32, u32(value));

/** A record of the tensor directory. */
export const record = (
  name: string | Uint8Array,
  dims: readonly (number | bigint)[],
  type: number,
  offset: number | bigint,
): Part => [str(name), u32(dims.length), dims.map(u64), u32(type), u64(offset)];

export interface RawFile {
  readonly version?: number;
  readonly magic?: string;
  readonly nTensors?: number | bigint;
  readonly nKeys?: number | bigint;
  readonly keys?: readonly Part[];
  readonly records?: readonly Part[];
  /** Bytes behind the padded header. */
  readonly data?: Part;
  readonly alignment?: number;
}

/** The bytes of a file and where its `HERE` was (-1: nowhere). */
export interface Marked {
  readonly bytes: Uint8Array;
  readonly mark: number;
}

export function rawFile(file: RawFile): Marked {
  const keys = file.keys ?? [];
  const records = file.records ?? [];
  const header = flatten([
    ascii(file.magic ?? "GGUF"),
    u32(file.version ?? 3),
    u64(file.nTensors ?? records.length),
    u64(file.nKeys ?? keys.length),
    keys,
    records,
  ]);
  if (file.data === undefined) return header;
  const alignment = file.alignment ?? 32;
  const padding = (alignment - (header.bytes.length % alignment)) % alignment;
  const all = flatten([header.bytes, zeros(padding), file.data]);
  return { bytes: all.bytes, mark: all.mark >= 0 ? all.mark : header.mark };
}

export function flatten(part: Part): Marked {
  const pieces: Uint8Array[] = [];
  let length = 0;
  let mark = -1;
  const add = (one: Part): void => {
    if (one === HERE) mark = length;
    else if (one instanceof Uint8Array) {
      pieces.push(one);
      length += one.length;
    } else for (const inner of one) add(inner);
  };
  add(part);
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return { bytes, mark };
}
