/** A small file with every value type and several formats, for truncation and fuzzing. */
import { packStrings } from "../../src/bytes/packed-strings.ts";
import { type GgufInput, type GgufWriteTensor, writeGguf } from "../../src/gguf/writer.ts";
import type { FormatName } from "../../src/quant/geometry.ts";
import { tensorBytes } from "../../src/quant/geometry.ts";

export const sampleInput: GgufInput = {
  metadata: [
    { key: "general.architecture", type: "string", value: "bitnet-b1.58" },
    { key: "general.alignment", type: "u32", value: 32 },
    { key: "a.u8", type: "u8", value: 255 },
    { key: "a.i8", type: "i8", value: -128 },
    { key: "a.u16", type: "u16", value: 65_535 },
    { key: "a.i16", type: "i16", value: -32_768 },
    { key: "a.u32", type: "u32", value: 4_294_967_295 },
    { key: "a.i32", type: "i32", value: -2_147_483_648 },
    { key: "a.f32", type: "f32", value: 0.5 },
    { key: "a.f64", type: "f64", value: -1e300 },
    { key: "a.bool", type: "bool", value: true },
    { key: "a.u64", type: "u64", value: 2 ** 53 - 1 },
    { key: "a.u64.big", type: "u64", value: 2n ** 64n - 1n },
    { key: "a.i64", type: "i64", value: -(2 ** 53 - 1) },
    { key: "a.i64.big", type: "i64", value: -(2n ** 63n) },
    { key: "a.string", type: "string", value: "héllo\u0000\u{1f600}" },
    { key: "__proto__", type: "string", value: "just a key" },
    { key: "l.strings", type: "array", elementType: "string", value: packStrings(["", "a", "ünï", "\u{1f600}", "x".repeat(40)]) },
    { key: "l.u8", type: "array", elementType: "u8", value: new Uint8Array([0, 255]) },
    { key: "l.i8", type: "array", elementType: "i8", value: new Int8Array([-1, 2]) },
    { key: "l.u16", type: "array", elementType: "u16", value: new Uint16Array([1, 65_535]) },
    { key: "l.i16", type: "array", elementType: "i16", value: new Int16Array([-2, 3]) },
    { key: "l.u32", type: "array", elementType: "u32", value: new Uint32Array([1, 4_294_967_295]) },
    { key: "l.i32", type: "array", elementType: "i32", value: new Int32Array([-5, 6]) },
    { key: "l.f32", type: "array", elementType: "f32", value: new Float32Array([0.25, -0]) },
    { key: "l.f64", type: "array", elementType: "f64", value: new Float64Array([1e-300]) },
    { key: "l.u64", type: "array", elementType: "u64", value: new BigUint64Array([1n, 2n ** 64n - 1n]) },
    { key: "l.i64", type: "array", elementType: "i64", value: new BigInt64Array([-1n, 2n ** 40n]) },
    { key: "l.bool", type: "array", elementType: "bool", value: [true, false, true] },
    { key: "l.empty", type: "array", elementType: "f32", value: new Float32Array(0) },
    {
      key: "l.nested",
      type: "array",
      elementType: "array",
      value: [new Uint8Array([1]), [true], packStrings(["n"]), [new Int32Array([7])]],
    },
  ],
  tensors: [
    tensor("blk.0.norm.weight", "F32", [5]),
    tensor("blk.0.w.weight", "I2_S", [128, 3]),
    tensor("blk.0.q.weight", "Q4_0", [32, 2, 1, 1]),
    tensor("blk.0.k.weight", "TQ2_0", [256]),
    tensor("out.weight", "F16", [7, 3]),
  ],
};

/** The file's bytes, the padding of the last tensor included. */
export function sampleFile(): Uint8Array {
  return writeGguf(sampleInput);
}

function tensor(name: string, format: FormatName, shape: readonly number[]): GgufWriteTensor {
  const data = new Uint8Array(tensorBytes(format, shape));
  for (let i = 0; i < data.length; i++) data[i] = (i * 37 + name.length) & 0xff;
  return { name, format, shape, data };
}
