/**
 * Random-weight models by name, of the true shapes that speed is judged on. `bitnet-2b-4t` is I2_S as published; `bitnet-2b-4t:tq2_0`
 * holds the same weights as llama.cpp takes them, which has no I2_S: under its own name of the architecture.
 * Source of the shape: microsoft/bitnet-b1.58-2B-4T-gguf, metadata of ggml-model-i2_s.gguf.
 */
import { UnsupportedError } from "../errors.ts";
import type { FormatName } from "../quant/geometry.ts";
import { QUANT_FORMATS } from "../quant/registry.ts";
import { type BitnetShape, bitnetShape } from "./bitnet.ts";

const SHAPES: ReadonlyMap<string, Partial<BitnetShape>> = new Map([
  [
    "bitnet-2b-4t",
    {
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
  ],
  ["stories", { nEmbd: 256, nLayer: 6, nHead: 4, nHeadKv: 2, headDim: 64, nFf: 512, nVocab: 2048, nCtx: 512 }],
]);

interface WeightType {
  readonly format: FormatName & ("I2_S" | "TQ2_0");
  readonly architecture: string;
}

const TYPES: ReadonlyMap<string, WeightType> = new Map([
  ["i2_s", { format: "I2_S", architecture: "bitnet-b1.58" }],
  ["tq2_0", { format: "TQ2_0", architecture: "bitnet" }],
]);

/** Every name that `syntheticModel` takes before a colon. */
export const SYNTHETIC_NAMES: readonly string[] = [...SHAPES.keys()];

/** A model to make: what, not yet the values. */
export interface SyntheticModel {
  /** As asked for. */
  readonly name: string;
  readonly shape: BitnetShape;
  /** Of the matrices in layers. */
  readonly format: WeightType["format"];
  /** False where this engine has no kernel for the format: then it is made for others. */
  readonly isComputable: boolean;
}

/**
 * The model that `NAME` or `NAME:TYPE` names; `nLayer` cuts it short.
 * @throws UnsupportedError `synthetic-unsupported` that lists what there is
 */
export function syntheticModel(name: string, nLayer?: number): SyntheticModel {
  const colon = name.indexOf(":");
  const [base, typeName] = colon < 0 ? [name, "i2_s"] : [name.slice(0, colon), name.slice(colon + 1).toLowerCase()];
  const shape = SHAPES.get(base);
  if (shape === undefined) throw unsupported("model", base, SYNTHETIC_NAMES);
  const type = TYPES.get(typeName);
  if (type === undefined) throw unsupported(`type of '${base}'`, typeName, [...TYPES.keys()]);
  const { format, architecture } = type;
  return {
    name,
    shape: bitnetShape({ ...shape, architecture, ...(nLayer !== undefined && { nLayer }) }),
    format,
    isComputable: QUANT_FORMATS.has(format),
  };
}

function unsupported(what: string, found: string, supported: readonly string[]): UnsupportedError {
  return new UnsupportedError(
    "synthetic-unsupported",
    `synthetic: no ${what} is named '${found}'; this version makes ${supported.join(", ")}`,
    { data: { what: `synthetic ${what}`, found, supported } },
  );
}
