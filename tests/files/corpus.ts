/**
 * Hostile and odd GGUF files, generated, with the verdict that every reader must give. Groups 1 to 8 follow the bug classes of
 * published GGUF parser vulnerabilities: header, counts, strings, value types, dimensions, type ids, offsets, alignment.
 */
import {
  alignmentKey,
  architecture,
  ascii,
  HERE,
  kv,
  type Marked,
  type Part,
  rawFile,
  record,
  str,
  u8,
  u32,
  u64,
  VALUE,
  zeros,
} from "./raw-gguf.ts";

export interface CorpusCase {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Code of the error; null: the file is fine. */
  readonly code: string | null;
  /** Where the error must point; -1: anywhere. */
  readonly mark: number;
  readonly errorClass: "GgufError" | "UnsupportedError";
}

const TWO_63 = 2n ** 63n;
const ALL_ONES = 2n ** 64n - 1n;
const F32 = 0;
const llama = architecture("llama");
const bitnet = architecture("bitnet-b1.58");
const goodRecord = record("t", [8], F32, 0);

/** All cases, in a fixed order. */
export function corpus(): readonly CorpusCase[] {
  return [
    ...headerCases(),
    ...countCases(),
    ...stringCases(),
    ...valueCases(),
    ...dimCases(),
    ...typeCases(),
    ...offsetCases(),
    ...alignmentCases(),
  ];
}

function refuse(name: string, code: string, file: Marked, errorClass: CorpusCase["errorClass"] = "GgufError"): CorpusCase {
  return { name, code, errorClass, ...file };
}

function accept(name: string, file: Marked): CorpusCase {
  return { name, code: null, errorClass: "GgufError", ...file };
}

function headerCases(): CorpusCase[] {
  const good = rawFile({ keys: [llama], records: [goodRecord], data: zeros(32) });
  const cases = [accept("1 header: good v3", good), accept("1 header: good v2", rawFile({ version: 2, keys: [llama] }))];
  for (let n = 0; n < 24; n++) {
    cases.push(
      refuse(`1 header: prefix of ${n} bytes`, n === 0 ? "gguf-magic" : "gguf-truncated", {
        bytes: good.bytes.slice(0, n),
        mark: 0,
      }),
    );
  }
  for (const magic of ["GGUX", "GGML", "FUGG", "\0\0\0\0", "gguf"]) {
    cases.push(
      refuse(`1 header: magic ${JSON.stringify(magic)}`, "gguf-magic", { ...rawFile({ magic, keys: [llama] }), mark: 0 }),
    );
  }
  for (const version of [0, 1, 4, 0x7fffffff, 0xffffffff]) {
    cases.push(refuse(`1 header: version ${version}`, "gguf-version", { ...rawFile({ version, keys: [llama] }), mark: 4 }));
  }
  for (const version of [0x02000000, 0x03000000]) {
    cases.push(
      refuse(`1 header: version ${version} (big-endian)`, "gguf-big-endian", { ...rawFile({ version, keys: [llama] }), mark: 4 }),
    );
  }
  return cases;
}

function countCases(): CorpusCase[] {
  const cases: CorpusCase[] = [];
  for (const count of [TWO_63, 2n ** 32n, 2n ** 60n, ALL_ONES, 2n ** 53n, 2n]) {
    cases.push(
      refuse(`2 counts: ${count} tensors`, "gguf-tensor-count", { ...rawFile({ nTensors: count, keys: [llama] }), mark: 8 }),
    );
  }
  for (const count of [TWO_63, 2n ** 32n, 2n ** 60n, ALL_ONES, 2n ** 53n, 4n]) {
    cases.push(refuse(`2 counts: ${count} keys`, "gguf-key-count", { ...rawFile({ nKeys: count, keys: [llama] }), mark: 16 }));
  }
  cases.push(
    refuse("2 counts: a key too many, bytes enough", "gguf-truncated", { ...rawFile({ nKeys: 2, keys: [llama] }), mark: -1 }),
  );
  cases.push(accept("2 counts: nothing at all", rawFile({})));
  return cases;
}

function stringCases(): CorpusCase[] {
  const cases: CorpusCase[] = [];
  const broken = new Uint8Array([0x61, 0xff, 0xfe, 0x62]);
  for (const length of [ALL_ONES, TWO_63, 2n ** 31n, 2n ** 53n, 65n]) {
    cases.push(
      refuse(`3 strings: key of ${length} bytes`, "gguf-string-length", rawFile({ keys: [[HERE, u64(length), zeros(64)]] })),
      refuse(
        `3 strings: value of ${length} bytes`,
        "gguf-string-length",
        rawFile({ keys: [kv("k", VALUE.string, HERE, u64(length), zeros(64))] }),
      ),
      refuse(
        `3 strings: element of ${length} bytes`,
        "gguf-string-length",
        rawFile({ keys: [kv("k", VALUE.array, u32(VALUE.string), u64(2), str("x"), HERE, u64(length), zeros(64))] }),
      ),
      refuse(
        `3 strings: tensor name that claims ${length} bytes`,
        "gguf-string-length",
        rawFile({ keys: [llama], records: [[HERE, u64(length), zeros(64)]] }),
      ),
    );
  }
  const key = (name: string | Uint8Array): Part => kv(name, VALUE.u8, u8(1));
  const named = (name: string | Uint8Array): Marked => rawFile({ records: [[HERE, record(name, [8], F32, 0)]], data: zeros(32) });
  cases.push(
    refuse("3 strings: empty key", "gguf-empty-name", rawFile({ keys: [[HERE, key("")], key("abc")] })),
    refuse("3 strings: key of 64 KiB", "gguf-name-length", rawFile({ keys: [[HERE, key("k".repeat(65_536))]] })),
    accept("3 strings: key of 64 KiB - 1", rawFile({ keys: [key("k".repeat(65_535))] })),
    refuse("3 strings: key not UTF-8", "gguf-name-utf8", rawFile({ keys: [[HERE, key(broken)]] })),
    refuse("3 strings: duplicate key", "gguf-duplicate-key", rawFile({ keys: [key("a"), key("b"), [HERE, key("a")]] })),
    accept("3 strings: keys of Object.prototype", rawFile({ keys: [key("__proto__"), key("constructor"), key("toString")] })),
    accept("3 strings: a key that differs by a BOM", rawFile({ keys: [key("a"), key("\ufeffa")] })),
    accept("3 strings: value not UTF-8", rawFile({ keys: [kv("k", VALUE.string, str(broken))] })),
    accept("3 strings: value of 1 MiB", rawFile({ keys: [kv("k", VALUE.string, str("x".repeat(1_048_576)))] })),
    accept("3 strings: empty value", rawFile({ keys: [kv("k", VALUE.string, str(""))] })),
    refuse("3 strings: tensor name of 0 bytes", "gguf-empty-name", named("")),
    accept("3 strings: tensor name of 64 bytes", named("n".repeat(64))),
    refuse("3 strings: tensor name of 65 bytes", "gguf-name-length", named("n".repeat(65))),
    refuse("3 strings: tensor name of 300 bytes", "gguf-name-length", named("n".repeat(300))),
    refuse("3 strings: tensor name not UTF-8", "gguf-name-utf8", named(broken)),
    refuse(
      "3 strings: duplicate tensor name",
      "gguf-duplicate-tensor",
      rawFile({ records: [goodRecord, [HERE, record("t", [8], F32, 32)]], data: zeros(64) }),
    ),
  );
  return cases;
}

function valueCases(): CorpusCase[] {
  const cases: CorpusCase[] = [];
  const array = (elementType: number, n: number | bigint, ...rest: Part[]): Part =>
    kv("k", VALUE.array, u32(elementType), u64(n), rest);
  for (const type of [13, 255, 0xffffffff]) {
    cases.push(
      refuse(`4 values: type ${type}`, "gguf-value-type", rawFile({ keys: [[str("k"), HERE, u32(type), zeros(16)]] })),
      refuse(
        `4 values: element type ${type}`,
        "gguf-value-type",
        rawFile({ keys: [kv("k", VALUE.array, HERE, u32(type), u64(1), zeros(16))] }),
      ),
    );
  }
  for (const byte of [2, 255]) {
    cases.push(
      refuse(`4 values: bool ${byte}`, "gguf-bool", rawFile({ keys: [kv("k", VALUE.bool, HERE, u8(byte), zeros(8))] })),
      refuse(
        `4 values: bool ${byte} in an array`,
        "gguf-bool",
        rawFile({ keys: [array(VALUE.bool, 3, u8(0), u8(1), HERE, u8(byte))] }),
      ),
    );
  }
  for (const [name, type] of Object.entries(VALUE)) {
    for (const count of [2n ** 61n, TWO_63, ALL_ONES, 65n]) {
      cases.push(
        refuse(
          `4 values: array of ${count} ${name}`,
          "gguf-array-length",
          rawFile({ keys: [kv("k", VALUE.array, u32(type), HERE, u64(count), zeros(64))] }),
        ),
      );
    }
    cases.push(accept(`4 values: empty array of ${name}`, rawFile({ keys: [array(type, 0)] })));
    cases.push(
      refuse(`4 values: ${name} cut off`, "gguf-truncated", { ...rawFile({ keys: [[str("key"), u32(type)]] }), mark: -1 }),
    );
  }
  for (const depth of [1, 2, 3, 4, 5, 10, 1000]) {
    let nested: Part = [u32(VALUE.u8), u64(1), u8(7)];
    for (let i = 1; i < depth; i++) nested = [u32(VALUE.array), u64(1), i === depth - 4 ? HERE : [], nested];
    const file = rawFile({ keys: [kv("k", VALUE.array, nested)] });
    cases.push(
      depth <= 4
        ? accept(`4 values: arrays ${depth} deep`, file)
        : refuse(`4 values: arrays ${depth} deep`, "gguf-array-depth", { ...file, mark: -1 }),
    );
  }
  const empty: Part = [u32(VALUE.u8), u64(0)];
  cases.push(
    refuse("4 values: 65,537 arrays in an array", "gguf-array-nested", {
      ...rawFile({
        keys: [
          array(
            VALUE.array,
            65_537,
            Array.from({ length: 65_537 }, () => empty),
          ),
        ],
      }),
      mark: -1,
    }),
    refuse("4 values: 2^20 + 1 bools", "gguf-array-length", {
      ...rawFile({ keys: [array(VALUE.bool, 1_048_577, zeros(1_048_577))] }),
      mark: -1,
    }),
    accept("4 values: 300,000 numbers", rawFile({ keys: [array(VALUE.u16, 300_000, zeros(600_000))] })),
    accept("4 values: u64 above 2^53", rawFile({ keys: [kv("k", VALUE.u64, u64(ALL_ONES)), kv("i", VALUE.i64, u64(TWO_63))] })),
  );
  return cases;
}

function dimCases(): CorpusCase[] {
  const cases: CorpusCase[] = [];
  for (const nDims of [0, 5, 0x7fffffff, 0xffffffff]) {
    const dims = Array.from({ length: nDims > 5 ? 1 : nDims }, () => u64(1));
    cases.push(
      refuse(
        `5 dims: ${nDims} dimensions`,
        "gguf-dim-count",
        rawFile({ records: [[str("t"), HERE, u32(nDims), dims, u32(F32), u64(0), zeros(64)]] }),
      ),
    );
  }
  const withDims = (dims: readonly (number | bigint)[], bad: number): Marked =>
    rawFile({
      keys: [llama],
      records: [[str("t"), u32(dims.length), dims.map((dim, i) => (i === bad ? [HERE, u64(dim)] : u64(dim))), u32(F32), u64(0)]],
      data: zeros(32),
    });
  for (const dim of [0n, ALL_ONES, TWO_63 - 1n, TWO_63, 2n ** 32n, 2n ** 42n + 1n, 2n ** 31n, 2n ** 62n]) {
    cases.push(
      refuse(`5 dims: dimension ${dim}`, "gguf-dim", withDims([dim], 0)),
      refuse(`5 dims: later dimension ${dim}`, "gguf-dim", withDims([8, 1, dim, 1], 2)),
    );
  }
  const sized = (code: string, type: number, ...dims: number[]): CorpusCase =>
    refuse(`5 dims: [${dims.join(", ")}] of type ${type}`, code, {
      ...rawFile({ keys: [bitnet], records: [record("t", dims, type, 0)], data: zeros(32) }),
      mark: -1,
    });
  const most = 2 ** 31 - 1;
  cases.push(
    sized("gguf-tensor-size", F32, 65_536, 65_536, 65_536, 65_536),
    sized("gguf-tensor-size", F32, most, most, most, most),
    sized("gguf-tensor-size", F32, most, most, 1, 1),
    sized("gguf-tensor-size", 2, 2 ** 30, 2 ** 24, 1, 1),
    sized("gguf-tensor-truncated", F32, 65_536, 65_536, 65_536, 1),
    sized("gguf-tensor-truncated", F32, 9),
    sized("gguf-tensor-truncated", F32, most),
    sized("gguf-row-length", 36, 64),
    sized("gguf-row-length", 36, 129),
    sized("gguf-row-length", 36, 64, 2),
    sized("gguf-row-length", 2, 31),
    sized("gguf-row-length", 8, 33),
    sized("gguf-row-length", 12, 128),
    sized("gguf-row-length", 14, 257),
    sized("gguf-row-length", 35, 255),
    sized("gguf-row-length", 34, 1, 256),
    accept("5 dims: trailing ones", rawFile({ records: [record("t", [8, 1, 1, 1], F32, 0)], data: zeros(32) })),
  );
  return cases;
}

function typeCases(): CorpusCase[] {
  const cases: CorpusCase[] = [];
  const typed = (arch: Part, type: number, nElements: number, nBytes: number): Marked =>
    rawFile({ keys: [arch], records: [[str("t"), u32(1), u64(nElements), HERE, u32(type), u64(0)]], data: zeros(nBytes) });
  for (const type of [4, 5, 31, 32, 33, 37, 38, 142, 143]) {
    for (const [name, arch] of [
      ["llama", llama],
      ["bitnet", bitnet],
    ] as const) {
      cases.push(refuse(`6 types: ${type} in ${name}`, "gguf-unsupported-type", typed(arch, type, 256, 256), "UnsupportedError"));
    }
  }
  for (const type of [43, 100, 141, 144, 0x7fffffff, 0xffffffff])
    cases.push(refuse(`6 types: ${type}`, "gguf-unknown-type", typed(llama, type, 256, 256)));
  cases.push(
    accept("6 types: 36 with the size of I2_S in llama", typed(llama, 36, 1024, 288)),
    accept("6 types: 36 with the size of I2_S in bitnet", typed(bitnet, 36, 1024, 288)),
    accept("6 types: 36 in bitnet, followed by more", typed(bitnet, 36, 1024, 320)),
    refuse("6 types: 36 with the size of IQ4_NL_4_4", "gguf-unsupported-type", typed(llama, 36, 1024, 576), "UnsupportedError"),
    refuse("6 types: 36 in llama with another size", "gguf-type-size", typed(llama, 36, 1024, 1024)),
    accept("6 types: 39 is MXFP4", typed(llama, 39, 1024, 544)),
    refuse("6 types: 39 too small for MXFP4", "gguf-tensor-truncated", { ...typed(llama, 39, 1024, 512), mark: -1 }),
    refuse("6 types: 39 in bitnet is TL2", "gguf-unsupported-type", typed(bitnet, 39, 1024, 544), "UnsupportedError"),
    accept("6 types: 41 is Q1_0", typed(llama, 41, 1024, 144)),
    accept("6 types: 41 is Q1_0 in bitnet by its size", typed(bitnet, 41, 1024, 144)),
    refuse(
      "6 types: 41 in bitnet with another size is TL1",
      "gguf-unsupported-type",
      typed(bitnet, 41, 1024, 320),
      "UnsupportedError",
    ),
    accept("6 types: 42 with 18 bytes", typed(llama, 42, 1024, 288)),
    accept("6 types: 42 with 34 bytes", typed(llama, 42, 4096, 1088)),
    refuse("6 types: 42 with another size", "gguf-type-size", typed(llama, 42, 1024, 512)),
    refuse(
      "6 types: 42 in bitnet with another size is TL2",
      "gguf-unsupported-type",
      typed(bitnet, 42, 1024, 512),
      "UnsupportedError",
    ),
    refuse("6 types: 42 too small", "gguf-tensor-truncated", { ...typed(llama, 42, 1024, 224), mark: -1 }),
  );
  return cases;
}

function offsetCases(): CorpusCase[] {
  const two = (first: number | bigint, second: number | bigint, nBytes: number, bad: 0 | 1): Marked => {
    const at = (name: string, offset: number | bigint, isBad: boolean): Part => [
      str(name),
      u32(1),
      u64(8),
      u32(F32),
      isBad ? HERE : [],
      u64(offset),
    ];
    return rawFile({ keys: [llama], records: [at("a", first, bad === 0), at("b", second, bad === 1)], data: zeros(nBytes) });
  };
  const one = (type: number, nElements: number, nBytes: number): Marked =>
    rawFile({ keys: [bitnet], records: [record("t", [nElements], type, 0)], data: [HERE, zeros(nBytes)] });
  return [
    accept("7 offsets: two tensors", two(0, 32, 64, 0)),
    accept("7 offsets: a gap", two(0, 64, 96, 0)),
    accept("7 offsets: bytes behind the last", two(0, 32, 96, 0)),
    accept("7 offsets: the first not at 0", two(32, 64, 96, 0)),
    refuse("7 offsets: unaligned", "gguf-tensor-alignment", two(0, 33, 96, 1)),
    refuse("7 offsets: unaligned by half", "gguf-tensor-alignment", two(16, 64, 96, 0)),
    refuse("7 offsets: the same", "gguf-tensor-overlap", two(0, 0, 96, 1)),
    refuse("7 offsets: decreasing", "gguf-tensor-order", two(64, 0, 128, 1)),
    refuse("7 offsets: at the end", "gguf-tensor-offset", two(0, 64, 64, 1)),
    refuse("7 offsets: behind the end", "gguf-tensor-offset", two(0, 2 ** 40, 64, 1)),
    refuse("7 offsets: 2^63", "gguf-tensor-offset", two(0, TWO_63, 64, 1)),
    refuse("7 offsets: wraps", "gguf-tensor-offset", two(0, ALL_ONES - 31n, 64, 1)),
    refuse("7 offsets: wraps at 2^53", "gguf-tensor-offset", two(0, 2n ** 53n - 32n, 64, 1)),
    refuse("7 offsets: the last a byte short", "gguf-tensor-truncated", { ...two(0, 32, 63, 1), mark: -1 }),
    refuse("7 offsets: overlap", "gguf-tensor-overlap", {
      ...rawFile({ records: [record("a", [9], F32, 0), record("b", [8], F32, 32)], data: zeros(64) }),
      mark: -1,
    }),
    refuse("7 offsets: no data section", "gguf-truncated", { ...rawFile({ keys: [llama], records: [goodRecord] }), mark: -1 }),
    refuse("7 offsets: an empty data section", "gguf-tensor-offset", {
      ...rawFile({ keys: [llama], records: [goodRecord], data: [] }),
      mark: -1,
    }),
    accept("7 offsets: I2_S with its tail", one(36, 128, 64)),
    refuse("7 offsets: I2_S without its tail", "gguf-tensor-truncated", one(36, 128, 32)),
    refuse("7 offsets: I2_S with half a tail", "gguf-tensor-truncated", one(36, 128, 63)),
    refuse("7 offsets: I2_S without its tail before another", "gguf-tensor-overlap", {
      ...rawFile({ keys: [bitnet], records: [record("a", [128], 36, 0), record("b", [8], F32, 32)], data: [HERE, zeros(64)] }),
    }),
  ];
}

function alignmentCases(): CorpusCase[] {
  const cases: CorpusCase[] = [];
  const key = (type: number, ...value: Part[]): Part => kv("general.alignment", type, value);
  const withKey = (alignment: Part, by = 32): Marked =>
    rawFile({ keys: [llama, [HERE, alignment]], records: [goodRecord], data: zeros(32), alignment: by });
  for (const alignment of [0, 1, 2, 3, 4, 12, 33, 2 ** 22, 2 ** 31, 2 ** 32 - 1]) {
    cases.push(refuse(`8 alignment: ${alignment}`, "gguf-alignment", withKey(alignmentKey(alignment))));
  }
  for (const alignment of [8, 16, 32, 64, 4096])
    cases.push(accept(`8 alignment: ${alignment}`, withKey(alignmentKey(alignment), alignment)));
  cases.push(
    refuse("8 alignment: i32", "gguf-key-type", withKey(key(VALUE.i32, u32(32)))),
    refuse("8 alignment: u64 of 2^63", "gguf-key-type", withKey(key(VALUE.u64, u64(TWO_63)))),
    refuse("8 alignment: u64 of 32", "gguf-key-type", withKey(key(VALUE.u64, u64(32)))),
    refuse("8 alignment: f32", "gguf-key-type", withKey(key(VALUE.f32, u32(0x42000000)))),
    refuse("8 alignment: string", "gguf-key-type", withKey(key(VALUE.string, str("32")))),
    refuse("8 alignment: array", "gguf-key-type", withKey(key(VALUE.array, u32(VALUE.u32), u64(1), u32(32)))),
    refuse("8 alignment: 64, offset for 32", "gguf-tensor-alignment", {
      ...rawFile({ keys: [alignmentKey(64)], records: [goodRecord, record("b", [8], F32, 32)], data: zeros(64), alignment: 64 }),
      mark: -1,
    }),
    refuse("8 alignment: architecture not a string", "gguf-key-type", {
      ...rawFile({ keys: [[HERE, kv("general.architecture", VALUE.u32, u32(1))]], records: [goodRecord], data: zeros(32) }),
    }),
  );
  return cases;
}

/** Files of other kinds that people load by mistake, with a word of the message. */
export function strangers(): readonly (readonly [string, Uint8Array])[] {
  const safetensors = new Uint8Array(64);
  safetensors.set(u64(40));
  safetensors.set(ascii('{"a":{"dtype":"F32"}}'), 8);
  return [
    ["HTML", ascii("<!DOCTYPE html><html><body>404</body></html>")],
    ["HTML", ascii("\n  <html lang=en>")],
    ["JSON", ascii('{"error":"Entry not found"}')],
    ["text", ascii("Entry not found, sorry about that\n")],
    ["zip", new Uint8Array([0x50, 0x4b, 3, 4, 0, 0, 0, 0, 0, 0])],
    ["gzip", new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0])],
    ["safetensors", safetensors],
    ["Git LFS", ascii("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")],
    ["XML", ascii('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>')],
    ["old GGML", ascii("tjgg\x01\0\0\0\0\0")],
    ["big-endian", ascii("FUGG\0\0\0\x03")],
    ["zeros", zeros(64)],
    ["empty", zeros(0)],
    ["de ad be ef", new Uint8Array([0xde, 0xad, 0xbe, 0xef, 1, 2])],
  ];
}
