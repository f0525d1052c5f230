/** Small random-weight BitNet models as GGUF bytes, in any format that can be written: what conformance tests run on. */
import { type GgufInput, type GgufWriteTensor, writeGguf } from "../../src/gguf/writer.ts";
import type { FormatName } from "../../src/quant/geometry.ts";
import { quantFormat } from "../../src/quant/registry.ts";
import {
  type BitnetFormats,
  type BitnetShape,
  bitnetMetadata,
  bitnetShape,
  bitnetTensors,
  type TensorPlan,
} from "../../src/synthetic/bitnet.ts";
import { seededRandom } from "../../src/synthetic/random.ts";

export { bitnetMetadata, bitnetShape, bitnetTensors };

export interface SyntheticOptions extends Partial<BitnetShape>, BitnetFormats {
  readonly seed: number;
  /** Adds a `.scale` [1] beside every matrix of a layer. */
  readonly hasScales?: boolean | undefined;
  readonly alignment?: number | undefined;
}

/** The values of a tensor in its format, tail included. */
export function tensorData(plan: TensorPlan, seed: number): Uint8Array {
  const random = seededRandom(seed);
  const [nCols, nRows = 1] = plan.shape as [number, number?];
  const values = new Float32Array(nCols * nRows);
  // a ternary weight is ±s with probability 1/3 each: its standard deviation is s · √(2/3)
  const magnitude = Math.fround(plan.std / Math.sqrt(2 / 3));
  for (let i = 0; i < values.length; i++) {
    if (plan.kind === "ternary") values[i] = (random.below(3) - 1) * magnitude;
    else values[i] = (plan.kind === "norm" ? 1 : 0) + plan.std * random.normal();
  }
  return encode(plan.format, values, nRows, nCols);
}

/** `values` [nRows, nCols] as the bytes of a tensor. */
export function encode(format: FormatName, values: Float32Array, nRows: number, nCols: number): Uint8Array {
  const { data, scale } = quantFormat(format, "a synthetic tensor").quantize!(values, nRows, nCols);
  if (format !== "I2_S") return data;
  const withTail = new Uint8Array(data.length + 32);
  withTail.set(data);
  new DataView(withTail.buffer).setFloat32(data.length, scale, true);
  return withTail;
}

/** What `makeBitnetModel` writes, for tests that change a key or a tensor first. */
export function bitnetGguf(options: SyntheticOptions): GgufInput {
  const shape = bitnetShape(options);
  const plans = bitnetTensors(shape, options);
  const tensors: GgufWriteTensor[] = plans.map((plan, i) => ({
    name: plan.name,
    format: plan.format,
    shape: plan.shape,
    data: tensorData(plan, options.seed + 7919 * (i + 1)),
  }));
  if (options.hasScales) {
    const random = seededRandom(options.seed);
    for (const plan of plans.filter(({ kind }) => kind === "ternary")) {
      const data = encode("F32", Float32Array.of(0.5 + random.uniform()), 1, 1);
      tensors.push({ name: plan.name.replace(/weight$/, "scale"), format: "F32", shape: [1], data });
    }
  }
  return { alignment: options.alignment, metadata: bitnetMetadata(shape, `synthetic ${options.seed}`), tensors };
}

/** A seeded random-weight model as a GGUF file. */
export function makeBitnetModel(options: SyntheticOptions): Uint8Array {
  return writeGguf(bitnetGguf(options));
}
