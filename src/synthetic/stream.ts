/**
 * The bytes of a named model, streamed: memory stays at a few pieces of 8 MiB whatever the size. The same seed gives the same weights
 * in every format.
 *
 * Only speed matters of the values, so they come from tables: ternary bytes are picked among the 81 that hold four codes 0..2, F16
 * weights among 4,096 normals.
 */
import { ggufHeader } from "../gguf/writer.ts";
import { f16ToF32, f32ToF16 } from "../numerics/f16.ts";
import { bitnetMetadata, bitnetTensors, type TensorPlan } from "./bitnet.ts";
import type { SyntheticModel } from "./models.ts";
import { seededRandom } from "./random.ts";
import { tq2BytesOf, writeTq2 } from "./tq2_0.ts";

/** A multiple of every block's bytes. */
const PIECE_BYTES = 8 * 2 ** 20;
const I2S_TAIL_BYTES = 32;

export interface SyntheticFile {
  readonly size: number;
  /** In the order of the file; a piece is overwritten by the next. What lies between them is zeros. */
  pieces(): Generator<{ readonly offset: number; readonly bytes: Uint8Array }>;
}

/** A GGUF file of `model` with random weights. */
export function syntheticFile(model: SyntheticModel, seed: number): SyntheticFile {
  const plans = bitnetTensors(model.shape, { weightFormat: model.format });
  const header = ggufHeader({
    metadata: bitnetMetadata(model.shape, `${model.name} synthetic, seed ${seed}`),
    tensors: plans,
  });
  return {
    size: header.size,
    *pieces() {
      yield { offset: 0, bytes: header.bytes };
      const room = { source: new Uint8Array(PIECE_BYTES), tq2: new Uint8Array(tq2BytesOf(PIECE_BYTES)) };
      for (const [i, plan] of plans.entries()) {
        let offset = header.tensors[i]!.byteOffset;
        for (const bytes of tensorPieces(plan, seed + 7919 * (i + 1), room)) {
          yield { offset, bytes };
          offset += bytes.length;
        }
      }
    },
  };
}

interface Room {
  readonly source: Uint8Array;
  readonly tq2: Uint8Array;
}

function* tensorPieces(plan: TensorPlan, seed: number, room: Room): Generator<Uint8Array> {
  const nElements = plan.shape.reduce((a, b) => a * b, 1);
  switch (plan.kind) {
    case "norm": {
      const values = seededRandom(seed)
        .normals(nElements, plan.std)
        .map((value) => 1 + value);
      yield new Uint8Array(values.buffer);
      return;
    }
    case "embedding":
    case "head":
      yield* filled(fillHalves(plan.std, seed), 2 * nElements, seed, room.source);
      return;
    case "ternary": {
      // a ternary weight is ±s with probability 1/3 each: its standard deviation is s · √(2/3); f16 holds s in every format
      const scale = f16ToF32(f32ToF16(plan.std / Math.sqrt(2 / 3)));
      for (const codes of filled(fillTernary(), nElements / 4, seed, room.source)) {
        if (plan.format === "TQ2_0") {
          const blocks = room.tq2.subarray(0, tq2BytesOf(codes.length));
          writeTq2(codes, scale, blocks);
          yield blocks;
        } else yield codes;
      }
      if (plan.format === "I2_S") {
        const tail = new Uint8Array(I2S_TAIL_BYTES);
        new DataView(tail.buffer).setFloat32(0, scale, true);
        yield tail;
      }
      return;
    }
    default:
      throw new Error(plan.kind satisfies never);
  }
}

/** Fills `piece` with bytes, 32-bit state and table lookups only; returns the next state. */
type Fill = (piece: Uint8Array, state: number) => number;

function* filled(fill: Fill, nBytes: number, seed: number, piece: Uint8Array): Generator<Uint8Array> {
  let state = seededRandom(seed).u32() | 1;
  for (let left = nBytes; left > 0; left -= PIECE_BYTES) {
    const part = piece.subarray(0, Math.min(left, PIECE_BYTES));
    state = fill(part, state);
    yield part;
  }
}

/** Bytes of four codes 0..2 each, 4,096 entries so that 12 random bits pick one. */
function ternaryBytes(): Uint8Array {
  const valid: number[] = [];
  for (let byte = 0; byte < 256; byte++) if ((byte & (byte >> 1) & 0x55) === 0) valid.push(byte);
  return Uint8Array.from({ length: 4096 }, (_, i) => valid[Math.floor((i * valid.length) / 4096)]!);
}

function fillTernary(): Fill {
  const table = ternaryBytes();
  return (piece, state) => {
    const words = new Uint32Array(piece.buffer, piece.byteOffset, piece.length / 4);
    for (let i = 0; i < words.length; i++) {
      state = xorshift(state);
      const low = table[state & 4095]! | (table[(state >>> 12) & 4095]! << 8);
      state = xorshift(state);
      words[i] = low | (table[state & 4095]! << 16) | (table[(state >>> 12) & 4095]! << 24);
    }
    return state;
  };
}

function fillHalves(std: number, seed: number): Fill {
  const table = Uint16Array.from(seededRandom(seed).normals(4096, std), f32ToF16);
  return (piece, state) => {
    const words = new Uint32Array(piece.buffer, piece.byteOffset, piece.length / 4);
    for (let i = 0; i < words.length; i++) {
      state = xorshift(state);
      words[i] = table[state & 4095]! | (table[(state >>> 12) & 4095]! << 16);
    }
    return state;
  };
}

/** Marsaglia's xorshift32 (13, 17, 5); `state` is never 0. */
function xorshift(state: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  return state ^ (state << 5);
}
