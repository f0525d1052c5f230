/** What is said about a loaded model, in plain data: `model.info`, `model.plan`. */
import type { GgufFile } from "../gguf/metadata.ts";
import type { ModelConfig } from "../model/config.ts";

export interface ModelInfo extends Omit<ModelConfig, "rope"> {
  readonly name: string | null;
  /** `chat` where the file has a chat template, else `base`. */
  readonly kind: "base" | "chat";
  /** The format of most weights, e.g. `I2_S`. */
  readonly quantization: string;
  /** Number of weights. */
  readonly parameters: number;
  readonly nCtx: number;
  readonly ropeTheta: number;
  readonly backend: string;
  /** What was chosen and why: SIMD variant, threads. */
  readonly backendDescription: string;
  readonly threads: number;
  readonly threadsReason: string;
  readonly loadMs: number;
}

/** Bytes that a model takes, known before its weights are read. */
export interface ModelPlan {
  readonly weightsBytes: number;
  readonly kvBytes: number;
  readonly scratchBytes: number;
  readonly totalBytes: number;
  readonly nCtx: number;
}

/** The facts that the file alone decides. */
export function fileFacts(file: Pick<GgufFile, "metadata" | "tensors">): {
  name: string | null;
  parameters: number;
  quantization: string;
} {
  const byFormat = new Map<string, number>();
  let parameters = 0;
  for (const tensor of file.tensors) {
    const n = tensor.shape.reduce((product, dim) => product * dim, 1);
    parameters += n;
    if (tensor.shape.length > 1) byFormat.set(tensor.format, (byFormat.get(tensor.format) ?? 0) + n);
  }
  // a large embedding does not name a model: the format of the layers does
  const layers = new Map<string, number>();
  for (const tensor of file.tensors) {
    if (tensor.shape.length < 2 || !tensor.name.startsWith("blk.")) continue;
    layers.set(tensor.format, (layers.get(tensor.format) ?? 0) + tensor.shape.reduce((product, dim) => product * dim, 1));
  }
  const most = [...(layers.size > 0 ? layers : byFormat)].sort((a, b) => b[1] - a[1])[0];
  return { name: file.metadata.string("general.name") ?? null, parameters, quantization: most?.[0] ?? "none" };
}

/** The part of the info that the config says. */
export function configFacts({ rope, ...rest }: ModelConfig): Omit<ModelConfig, "rope"> & { readonly ropeTheta: number } {
  return { ...rest, ropeTheta: rope.theta };
}
