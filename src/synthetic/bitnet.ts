/**
 * The tensors and metadata of a random-weight BitNet model of any shape, without values. Scales follow the golden set: standard
 * deviation 1/√fan-in, q and k 1.4 times that, so that attention is peaky and a wrong position shows; a head whose logits spread by
 * about 3. Text from such a model means nothing.
 */
import type { GgufWriteEntry } from "../gguf/writer.ts";
import type { FormatName } from "../quant/geometry.ts";
import { byteLevelVocabulary } from "./vocabulary.ts";

export interface BitnetShape {
  readonly architecture: string;
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly headDim: number;
  readonly nFf: number;
  readonly nVocab: number;
  readonly nCtx: number;
  readonly ropeTheta: number;
  readonly rmsEps: number;
}

/** Formats other than I2_S matrices, F16 embedding, tied. */
export interface BitnetFormats {
  /** Of all matrices in layers; default I2_S. */
  readonly weightFormat?: FormatName | undefined;
  /** By stem, e.g. `{ ffn_down: "F16" }`: a mixture. */
  readonly formats?: Readonly<Record<string, FormatName>> | undefined;
  /** Of token_embd; default F16. */
  readonly embdFormat?: FormatName | undefined;
  /** Makes the model untied: the format of output.weight. */
  readonly outputFormat?: FormatName | undefined;
}

/** A matrix or vector of the model, without its values. */
export interface TensorPlan {
  readonly name: string;
  /** GGUF order: row length first. */
  readonly shape: readonly number[];
  readonly kind: "norm" | "ternary" | "embedding" | "head";
  readonly format: FormatName;
  readonly std: number;
}

const SMALL: BitnetShape = {
  architecture: "bitnet-b1.58",
  nEmbd: 128,
  nLayer: 2,
  nHead: 4,
  nHeadKv: 2,
  headDim: 32,
  nFf: 256,
  nVocab: 288,
  nCtx: 256,
  ropeTheta: 500_000,
  rmsEps: 1e-5,
};

export function bitnetShape(options: Partial<BitnetShape>): BitnetShape {
  const nEmbd = options.nEmbd ?? SMALL.nEmbd;
  const nHead = options.nHead ?? SMALL.nHead;
  const given = Object.fromEntries(Object.entries(options).filter(([key, value]) => key in SMALL && value !== undefined));
  return { ...SMALL, nHeadKv: nHead % 2 === 0 ? nHead / 2 : nHead, headDim: nEmbd / nHead, ...given };
}

/** The tensors of a model in the order of converters: embedding, layers, output norm, head. */
export function bitnetTensors(shape: BitnetShape, options: BitnetFormats = {}): TensorPlan[] {
  const { nEmbd, nFf, nVocab } = shape;
  const nQ = shape.nHead * shape.headDim;
  const nKv = shape.nHeadKv * shape.headDim;
  const norm = (name: string, n: number): TensorPlan => ({ name, shape: [n], kind: "norm", format: "F32", std: 0.1 });
  // a tied head multiplies rows of rms 1: logits spread by std · √nEmbd
  const headStd = 3 / Math.sqrt(nEmbd);
  const plans: TensorPlan[] = [
    { name: "token_embd.weight", shape: [nEmbd, nVocab], kind: "embedding", format: options.embdFormat ?? "F16", std: headStd },
  ];
  for (let layer = 0; layer < shape.nLayer; layer++) {
    const matrix = (stem: string, nIn: number, nOut: number, gain = 1): TensorPlan => ({
      name: `blk.${layer}.${stem}.weight`,
      shape: [nIn, nOut],
      kind: "ternary",
      format: options.formats?.[stem] ?? options.weightFormat ?? "I2_S",
      std: gain / Math.sqrt(nIn),
    });
    plans.push(
      norm(`blk.${layer}.attn_norm.weight`, nEmbd),
      norm(`blk.${layer}.attn_sub_norm.weight`, nQ),
      norm(`blk.${layer}.ffn_norm.weight`, nEmbd),
      norm(`blk.${layer}.ffn_sub_norm.weight`, nFf),
      matrix("attn_q", nEmbd, nQ, 1.4),
      matrix("attn_k", nEmbd, nKv, 1.4),
      matrix("attn_v", nEmbd, nKv),
      matrix("attn_output", nQ, nEmbd),
      matrix("ffn_gate", nEmbd, nFf),
      matrix("ffn_up", nEmbd, nFf),
      matrix("ffn_down", nFf, nEmbd),
    );
  }
  plans.push(norm("output_norm.weight", nEmbd));
  if (options.outputFormat !== undefined) {
    plans.push({ name: "output.weight", shape: [nEmbd, nVocab], kind: "head", format: options.outputFormat, std: headStd });
  }
  return plans;
}

/** Hyper-parameters and a byte-level vocabulary. */
export function bitnetMetadata(shape: BitnetShape, name: string): GgufWriteEntry[] {
  const arch = shape.architecture;
  const u32 = (key: string, value: number): GgufWriteEntry => ({ key: `${arch}.${key}`, type: "u32", value });
  const f32 = (key: string, value: number): GgufWriteEntry => ({ key: `${arch}.${key}`, type: "f32", value });
  return [
    { key: "general.architecture", type: "string", value: arch },
    { key: "general.name", type: "string", value: name },
    u32("block_count", shape.nLayer),
    u32("context_length", shape.nCtx),
    u32("embedding_length", shape.nEmbd),
    u32("feed_forward_length", shape.nFf),
    u32("vocab_size", shape.nVocab),
    u32("attention.head_count", shape.nHead),
    u32("attention.head_count_kv", shape.nHeadKv),
    ...(shape.headDim * shape.nHead === shape.nEmbd
      ? []
      : [u32("attention.key_length", shape.headDim), u32("attention.value_length", shape.headDim)]),
    u32("rope.dimension_count", shape.headDim),
    f32("attention.layer_norm_rms_epsilon", shape.rmsEps),
    f32("rope.freq_base", shape.ropeTheta),
    ...byteLevelVocabulary(shape.nVocab),
  ];
}
