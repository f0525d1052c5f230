/**
 * Keys and values of a GGUF file, and the shape of a parsed file. Knows no key by name.
 * Keys are hostile: they live in a `Map`, so `__proto__` is a key like any other.
 */
import type { PackedStrings } from "../bytes/packed-strings.ts";
import { GgufError } from "../errors.ts";
import type { FormatName } from "../quant/geometry.ts";

/** Type of a value that is not an array; strings are scalars here, as in the format. */
export type GgufScalarType = "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "bool" | "string" | "u64" | "i64" | "f64";

/** An array of numbers that need no `bigint`. */
export type NumericArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** u64 and i64 scalars are numbers where these are exact, else bigints. */
export type GgufValue =
  | number
  | bigint
  | boolean
  | string
  | PackedStrings
  | NumericArray
  | BigInt64Array
  | BigUint64Array
  | readonly boolean[]
  | readonly GgufValue[];

/** One key and its value. */
export interface GgufEntry {
  readonly key: string;
  readonly type: GgufScalarType | "array";
  /** Type of the elements, exactly when `type` is "array". */
  readonly elementType?: GgufScalarType | "array";
  /** Where the entry (the length of its key) begins in the file. */
  readonly byteOffset: number;
  readonly value: GgufValue;
}

/** One tensor of the directory; its bytes lie at [byteOffset, byteOffset + nBytes) of the file. */
export interface GgufTensor {
  readonly name: string;
  /** GGUF order: `shape[0]` is the length of a row. Trailing ones are kept as in the file. */
  readonly shape: readonly number[];
  /** ggml's type id as in the file; `format` is what it means in this file. */
  readonly typeId: number;
  readonly format: FormatName;
  /** Absolute. */
  readonly byteOffset: number;
  readonly nBytes: number;
}

/** A parsed GGUF file, without its weights. */
export interface GgufFile {
  readonly version: number;
  readonly alignment: number;
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensor[];
  /** Where the data section begins. */
  readonly dataOffset: number;
  /** Bytes of the whole file. */
  readonly size: number;
}

/**
 * Typed access to the entries; can be rebuilt from a `structuredClone` of `entries`.
 * Getters give `undefined` for a missing key and throw GgufError `gguf-key-type` for a value of another type.
 */
export class GgufMetadata {
  readonly entries: readonly GgufEntry[];
  readonly #byKey = new Map<string, GgufEntry>();

  constructor(entries: readonly GgufEntry[]) {
    this.entries = entries;
    for (const entry of entries) this.#byKey.set(entry.key, entry);
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  entry(key: string): GgufEntry | undefined {
    return this.#byKey.get(key);
  }

  string(key: string): string | undefined {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return undefined;
    if (entry.type !== "string") throw wrongType(entry, "a string");
    return entry.value as string;
  }

  /** @throws GgufError `gguf-key-range` for a 64-bit value that a double cannot hold exactly. */
  number(key: string): number | undefined {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return undefined;
    if (typeof entry.value === "number") return entry.value;
    if (typeof entry.value === "bigint") throw outOfRange(entry, entry.value);
    throw wrongType(entry, "a number");
  }

  bool(key: string): boolean | undefined {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return undefined;
    if (entry.type !== "bool") throw wrongType(entry, "a bool");
    return entry.value as boolean;
  }

  strings(key: string): PackedStrings | undefined {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return undefined;
    if (entry.elementType !== "string") throw wrongType(entry, "an array of string");
    return entry.value as PackedStrings;
  }

  bools(key: string): readonly boolean[] | undefined {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return undefined;
    if (entry.elementType !== "bool") throw wrongType(entry, "an array of bool");
    return entry.value as readonly boolean[];
  }

  /**
   * An array of numbers of any width; 64-bit integers come as a Float64Array.
   * @throws GgufError `gguf-key-range` for an element that a double cannot hold exactly.
   */
  numbers(key: string): NumericArray | undefined {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return undefined;
    const kind = entry.elementType;
    if (kind === undefined || kind === "string" || kind === "bool" || kind === "array")
      throw wrongType(entry, "an array of numbers");
    if (kind !== "u64" && kind !== "i64") return entry.value as NumericArray;
    const wide = entry.value as BigInt64Array | BigUint64Array;
    const numbers = new Float64Array(wide.length);
    for (let i = 0; i < wide.length; i++) {
      const value = Number(wide[i]!);
      if (!Number.isSafeInteger(value)) throw outOfRange(entry, wide[i]!);
      numbers[i] = value;
    }
    return numbers;
  }
}

/** "u32", or "array of string". */
export function typeText(entry: Pick<GgufEntry, "type" | "elementType">): string {
  return entry.type === "array" ? `array of ${entry.elementType}` : entry.type;
}

/** `text` in quotes for a message: control characters escaped, at most about 80 characters. */
export function quoted(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return `'${JSON.stringify(short).slice(1, -1)}'`;
}

function wrongType(entry: GgufEntry, expected: string): GgufError {
  const got = typeText(entry);
  return new GgufError(
    "gguf-key-type",
    `gguf: key ${quoted(entry.key)} at byte ${entry.byteOffset} is ${got}; must be ${expected}`,
    entry.byteOffset,
    { data: { key: entry.key, got, expected } },
  );
}

function outOfRange(entry: GgufEntry, value: bigint): GgufError {
  return new GgufError(
    "gguf-key-range",
    `gguf: key ${quoted(entry.key)} at byte ${entry.byteOffset} holds ${value}; must lie within ±(2^53 - 1)`,
    entry.byteOffset,
    { data: { key: entry.key, value: String(value) } },
  );
}
