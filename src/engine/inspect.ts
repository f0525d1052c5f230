/** Looking at a file without loading its weights: what is in it, what it would take, its tokenizer. */
import { packedCount, packedString } from "../bytes/packed-strings.ts";
import { abortError, errorFromJson } from "../errors.ts";
import { GgufMetadata, type GgufValue } from "../gguf/metadata.ts";
import type { TokenizerSpec } from "../tokenizer/spec.ts";
import { createTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { EngineClient } from "./client.ts";
import { fileFacts } from "./info.ts";
import { engineOptions, type LoadOptions } from "./model.ts";
import type { FileData } from "./protocol.ts";
import { describeSource, type ModelSource } from "./source.ts";
import { spawnWorker } from "./spawn.ts";

/** Reads the header of `source` in a worker. @throws LmError of any class */
export async function inspectFile(source: ModelSource, options: LoadOptions = {}): Promise<FileData> {
  options.signal?.throwIfAborted();
  const { descriptor, remote } = await describeSource(source, options);
  const client = new EngineClient(spawnWorker("engine", options), remote);
  try {
    return await client.call("inspect", { source: descriptor, options: engineOptions(options) }, { signal: options.signal });
  } finally {
    client.terminate(abortError("The inspection has ended"));
  }
}

/** The tokenizer of a file; a vocabulary-only GGUF is enough. @throws GgufError, UnsupportedError when there is none */
export async function openTokenizer(source: ModelSource, options: LoadOptions = {}): Promise<Tokenizer> {
  const data = await inspectFile(source, options);
  if (data.tokenizer === null) throw errorFromJson(data.tokenizerError!);
  return createTokenizer(data.tokenizer);
}

/** What `inspect` says of a tensor. */
export interface InspectedTensor {
  readonly name: string;
  readonly type: string;
  /** GGUF order, input first. */
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly offset: number;
}

export interface InspectedTokenizer {
  readonly model: string;
  readonly pre: string | null;
  readonly nVocab: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly eogIds: readonly number[];
  readonly addBos: boolean;
}

/** The report of `inspect`, as its JSON. */
export interface Inspection {
  readonly architecture: string | null;
  readonly name: string | null;
  readonly parameters: number;
  readonly quantization: string;
  readonly tensors: readonly InspectedTensor[];
  /** Every key; arrays of more than 16 elements as {length, first}. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tokenizer: InspectedTokenizer | null;
  /** Null where the model cannot be run. */
  readonly plan: {
    readonly weightsBytes: number;
    readonly kvBytes: number;
    readonly scratchBytes: number;
    readonly nCtx: number;
  } | null;
  readonly warnings: readonly string[];
  readonly fileBytes: number;
  readonly ggufVersion: number;
}

/** Arrays longer than this are shown by their length and their first elements. */
const MAX_SHOWN = 16;

/** What is in `source`, and what it would take to run it; reads no weights. */
export async function inspect(source: ModelSource, options: LoadOptions = {}): Promise<Inspection> {
  const data = await inspectFile(source, options);
  const metadata = new GgufMetadata(data.entries);
  const { name, parameters, quantization } = fileFacts({ metadata, tensors: data.tensors });
  const failures = [data.tokenizerError, data.modelError].flatMap((error) => (error === null ? [] : [error.message]));
  const plan = data.model?.plan;
  return {
    architecture: metadata.string("general.architecture") ?? null,
    name,
    parameters,
    quantization,
    tensors: data.tensors.map((tensor) => ({
      name: tensor.name,
      type: tensor.format,
      shape: tensor.shape,
      bytes: tensor.nBytes,
      offset: tensor.byteOffset,
    })),
    metadata: Object.fromEntries(data.entries.map((entry) => [entry.key, shown(entry.value)])),
    tokenizer: data.tokenizer && describeTokenizer(data.tokenizer),
    plan: plan
      ? { weightsBytes: plan.weightsBytes, kvBytes: plan.kvBytes, scratchBytes: plan.scratchBytes, nCtx: plan.nCtx }
      : null,
    warnings: [...data.tokenizerWarnings, ...(data.model?.warnings ?? []), ...failures],
    fileBytes: data.size,
    ggufVersion: data.version,
  };
}

function describeTokenizer(spec: TokenizerSpec): InspectedTokenizer {
  const { model, pre, bosId, eosId, eogIds, addBos } = spec;
  return { model, pre, nVocab: packedCount(spec.tokens), bosId, eosId, eogIds, addBos };
}

/** A value as JSON can hold it. */
function shown(value: GgufValue): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object") return value;
  const { length, at } = elements(value);
  const first = Array.from({ length: Math.min(length, MAX_SHOWN) }, (_, i) => at(i));
  return length <= MAX_SHOWN ? first : { length, first };
}

function elements(value: Exclude<GgufValue, string | number | bigint | boolean>): { length: number; at: (i: number) => unknown } {
  if ("offsets" in value) return { length: packedCount(value), at: (i) => packedString(value, i) };
  return { length: value.length, at: (i) => shown(value[i] as GgufValue) };
}
