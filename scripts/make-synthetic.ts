/**
 * Writes a seeded random-weight BitNet model of a true shape, so that a machine can be judged without a download:
 * `node scripts/make-synthetic.ts bitnet-2b-4t OUT.gguf [--seed N] [--layers N]`. Streams: memory stays at a few pieces of 8 MiB.
 *
 * Only speed matters of the values, so they come from tables: ternary bytes are picked among the 81 that hold four codes 0..2, F16
 * weights among 4,096 normals. Shapes: design §10; values as in tests/support/synthetic.ts.
 */
import { open } from "node:fs/promises";
import { parseArgs } from "node:util";
import { ggufHeader } from "../src/gguf/writer.ts";
import { f32ToF16 } from "../src/numerics/f16.ts";
import {
  type BitnetShape,
  bitnetMetadata,
  bitnetShape,
  bitnetTensors,
  encode,
  type TensorPlan,
} from "../tests/support/synthetic.ts";
import { seededRandom } from "../tests/support/synthetic-random.ts";

const SHAPES: Readonly<Record<string, Partial<BitnetShape>>> = {
  "bitnet-2b-4t": {
    nEmbd: 2560,
    nLayer: 30,
    nHead: 20,
    nHeadKv: 5,
    headDim: 128,
    nFf: 6912,
    nVocab: 128_256,
    nCtx: 4096,
    ropeTheta: 500_000,
    rmsEps: 1e-5,
  },
  stories: { nEmbd: 256, nLayer: 6, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 512, nVocab: 2048, nCtx: 512 },
};

const PIECE_BYTES = 8 * 2 ** 20;

/** Fills `piece` with bytes, 32-bit state and table lookups only; returns the next state. */
type Fill = (piece: Uint8Array, state: number) => number;

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

/** The bytes of a tensor in pieces of at most 8 MiB; a piece is overwritten by the next. */
function* tensorPieces(plan: TensorPlan, seed: number, piece: Uint8Array): Generator<Uint8Array> {
  const nElements = plan.shape.reduce((a, b) => a * b, 1);
  if (plan.kind === "norm") {
    const values = seededRandom(seed)
      .normals(nElements, plan.std)
      .map((value) => 1 + value);
    yield encode(plan.format, values, 1, nElements);
    return;
  }
  const isTernary = plan.kind === "ternary";
  const fill = isTernary ? fillTernary() : fillHalves(plan.std, seed);
  let state = seededRandom(seed).u32() | 1;
  for (let left = isTernary ? nElements / 4 : 2 * nElements; left > 0; left -= PIECE_BYTES) {
    const part = piece.subarray(0, Math.min(left, PIECE_BYTES));
    state = fill(part, state);
    yield part;
  }
  if (!isTernary) return;
  const tail = new Uint8Array(32);
  new DataView(tail.buffer).setFloat32(0, plan.std / Math.sqrt(2 / 3), true);
  yield tail;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seed: { type: "string", default: "1" }, layers: { type: "string" } },
  });
  const [name, path] = positionals;
  const given = name === undefined ? undefined : SHAPES[name];
  const seed = Number(values.seed);
  const nLayer = values.layers === undefined ? given?.nLayer : Number(values.layers);
  if (given === undefined || path === undefined || !Number.isInteger(seed) || !(Number.isInteger(nLayer) && nLayer! > 0)) {
    console.error(`usage: node scripts/make-synthetic.ts ${Object.keys(SHAPES).join("|")} OUT.gguf [--seed N] [--layers N]`);
    process.exitCode = 2;
    return;
  }
  const shape = bitnetShape({ ...given, nLayer: nLayer! });
  const plans = bitnetTensors(shape);
  const header = ggufHeader({ metadata: bitnetMetadata(shape, `${name} synthetic, seed ${seed}`), tensors: plans });
  const file = await open(path, "w");
  try {
    await file.write(header.bytes, 0, header.bytes.length, 0);
    const piece = new Uint8Array(PIECE_BYTES);
    for (const [i, plan] of plans.entries()) {
      let at = header.tensors[i]!.byteOffset;
      for (const part of tensorPieces(plan, seed + 7919 * (i + 1), piece)) {
        await file.write(part, 0, part.length, at);
        at += part.length;
      }
    }
    await file.truncate(header.size);
  } finally {
    await file.close();
  }
  console.log(`${path}: ${header.size} bytes, ${plans.length} tensors, seed ${seed}`);
}

await main();
