/**
 * Immediates: what an instruction carries in its own bytes. A table row names their kinds; this file gives the method
 * arguments of each kind and writes them. Source: WebAssembly core specification 3.0, §5.4; threads proposal for atomics.
 */
import type { ByteWriter } from "./byte-writer.ts";

type Width = 8 | 16 | 32 | 64 | 128;
type LaneCount = 2 | 4 | 8 | 16;

/**
 * `memN`: memory argument of an N-bit access. `atomicN`: the same, always aligned. `laneN`: a lane index below N.
 * `lanes`: 16 lane indices of a shuffle. `zero`: a reserved byte or the index of the only memory, no argument.
 */
export type Immediates =
  | `mem${Width}`
  | `mem${Width} lane${LaneCount}`
  | `atomic${Width}`
  | `lane${LaneCount}`
  | ("lanes" | "zero" | "zero zero" | "i32" | "i64" | "f32" | "f64" | "v128");

export interface MemArg {
  /** Bytes added to the address, without wrapping; below 2^32. Default 0. */
  readonly offset?: number;
  /** Alignment hint in bytes, a power of two up to the access width. Default: the access width. */
  readonly align?: number;
}

export type LaneShape = "i8x16" | "i16x8" | "i32x4" | "i64x2" | "f32x4" | "f64x2";

/** The lanes of a `v128.const`: all of them, or one number for every lane. */
export type Lanes = number | bigint | ArrayLike<number | bigint>;

/** Method arguments of an immediate kind; they follow the operands. */
export type ImmediateArgs<I> = I extends `mem${Width} lane${LaneCount}`
  ? [lane: number, memArg?: MemArg]
  : I extends `mem${Width}`
    ? [memArg?: MemArg]
    : I extends `atomic${Width}`
      ? [memArg?: Omit<MemArg, "align">]
      : I extends `lane${LaneCount}`
        ? [lane: number]
        : I extends "lanes"
          ? [lanes: ArrayLike<number>]
          : I extends "i32" | "f32" | "f64"
            ? [value: number]
            : I extends "i64"
              ? [value: bigint | number]
              : I extends "v128"
                ? [shape: LaneShape, lanes: Lanes]
                : [];

const LANE_WRITERS: Readonly<Record<LaneShape, (view: DataView, lane: number, value: number | bigint) => void>> = {
  i8x16: (view, lane, value) => view.setInt8(lane, Number(value)),
  i16x8: (view, lane, value) => view.setInt16(2 * lane, Number(value), true),
  i32x4: (view, lane, value) => view.setInt32(4 * lane, Number(value), true),
  i64x2: (view, lane, value) => view.setBigInt64(8 * lane, BigInt(value), true),
  f32x4: (view, lane, value) => view.setFloat32(4 * lane, Number(value), true),
  f64x2: (view, lane, value) => view.setFloat64(8 * lane, Number(value), true),
};

/** The 16 bytes of a vector constant; integer lanes may be signed or unsigned. */
export function vectorBytes(shape: LaneShape, lanes: Lanes): Uint8Array {
  const nLanes = Number(shape.slice(shape.indexOf("x") + 1));
  const isSplat = typeof lanes === "number" || typeof lanes === "bigint";
  if (!isSplat && lanes.length !== nLanes)
    throw new Error(`v128.const ${shape}: expected ${nLanes} lanes, found ${lanes.length}`);
  const bits = 128 / nLanes;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (let lane = 0; lane < nLanes; lane++) {
    const value = isSplat ? lanes : (lanes[lane] as number | bigint);
    if (shape.startsWith("i") && !(isWhole(value) && value >= -(2 ** (bits - 1)) && value < 2 ** bits)) {
      throw new Error(`v128.const ${shape}: lane ${lane} is ${value}`);
    }
    LANE_WRITERS[shape](view, lane, value);
  }
  return bytes;
}

function isWhole(value: number | bigint): boolean {
  return typeof value === "bigint" || Number.isInteger(value);
}

type ImmediateWriter = (out: ByteWriter, args: readonly unknown[], first: number) => void;

function writeMemArg(out: ByteWriter, memArg: MemArg | undefined, width: number): void {
  const natural = width / 8;
  const { offset = 0, align = natural } = memArg ?? {};
  const log2 = 31 - Math.clz32(align);
  if (align !== 2 ** log2 || align > natural) {
    throw new Error(`alignment ${align} is not a power of two up to ${natural}`);
  }
  out.u8(log2);
  out.u32(offset);
}

function writeLane(out: ByteWriter, lane: unknown, nLanes: number): void {
  if (!(Number.isInteger(lane) && (lane as number) >= 0 && (lane as number) < nLanes)) {
    throw new Error(`lane ${lane} is not below ${nLanes}`);
  }
  out.u8(lane as number);
}

/** The function that writes immediates of one kind from a method's arguments, of which `first` is the first immediate. */
export function immediateWriter(kind: Immediates): ImmediateWriter {
  const lane = /lane(\d+)/.exec(kind);
  const nLanes = lane === null ? 0 : Number(lane[1]);
  const memory = /^(mem|atomic)(\d+)/.exec(kind);
  if (memory !== null) {
    const width = Number(memory[2]);
    if (memory[1] === "atomic") {
      return (out, args, first) => writeMemArg(out, { offset: (args[first] as MemArg | undefined)?.offset ?? 0 }, width);
    }
    if (lane === null) return (out, args, first) => writeMemArg(out, args[first] as MemArg | undefined, width);
    return (out, args, first) => {
      writeMemArg(out, args[first + 1] as MemArg | undefined, width);
      writeLane(out, args[first], nLanes);
    };
  }
  if (lane !== null) return (out, args, first) => writeLane(out, args[first], nLanes);
  switch (kind) {
    case "lanes":
      return (out, args, first) => {
        const lanes = args[first] as ArrayLike<number>;
        if (lanes.length !== 16) throw new Error(`expected 16 lanes, found ${lanes.length}`);
        for (let i = 0; i < 16; i++) writeLane(out, lanes[i], 32);
      };
    case "i32":
      return (out, args, first) => out.s32(args[first] as number);
    case "i64":
      return (out, args, first) => out.s64(args[first] as bigint | number);
    case "f32":
      return (out, args, first) => out.f32(args[first] as number);
    case "f64":
      return (out, args, first) => out.f64(args[first] as number);
    case "v128":
      return (out, args, first) => out.bytes(vectorBytes(args[first] as LaneShape, args[first + 1] as Lanes));
    default:
      return kind === "zero zero" ? (out) => out.bytes([0, 0]) : (out) => out.u8(0);
  }
}
