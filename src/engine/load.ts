/**
 * From a source to a model that can run: parse, define, plan, pick a backend, load. Runs in the worker. Everything that can be refused
 * is refused before the first weight is read.
 */
import { type Backend, type LoadedProgram, type LoadOptions, PAGE_TOKENS, type ThreadOptions } from "../backends/backend.ts";
import type { ByteSource } from "../bytes/byte-source.ts";
import { packedCount } from "../bytes/packed-strings.ts";
import { effectiveChatTemplate } from "../chat/bitnet-template.ts";
import { BackendError, errorToJson, GgufError } from "../errors.ts";
import type { GgufFile } from "../gguf/metadata.ts";
import { readGguf } from "../gguf/reader.ts";
import type { HeadChoice } from "../graph/serve-head.ts";
import { PagePool } from "../kv-cache/page-pool.ts";
import { familyOf } from "../model/families/registry.ts";
import { architectureOf, defineModel, type ModelDefinition } from "../model/model.ts";
import { tokenizerSpec } from "../model/tokenizer-spec.ts";
import { FileWeightReader } from "../model/weight-reader.ts";
import { createTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { checkOptions, type EngineOptions } from "./engine-options.ts";
import { configFacts, fileFacts, type ModelPlan } from "./info.ts";
import type { FileData, LoadedModelData, LoadProgress } from "./protocol.ts";
import type { SessionHost } from "./session-core.ts";

const MAX_DEFAULT_CTX = 4096;
/** Prefill block: weights are read once per block, an abort is seen once per block. */
const MAX_STEP_TOKENS = 64;
/** Logits of one step stay below this many bytes. */
const MAX_LOGITS_BYTES = 16 * 2 ** 20;

export interface EngineModel {
  readonly host: SessionHost;
  readonly tokenizer: Tokenizer;
  readonly data: LoadedModelData;
  dispose(): void;
}

/** Loads the model in `source`. @throws LmError of any class, before or while weights are read; nothing is left behind. */
export async function loadEngine(
  source: ByteSource,
  options: EngineOptions,
  platform: Omit<ThreadOptions, "wanted">,
  onProgress: (progress: LoadProgress) => void,
  signal?: AbortSignal,
): Promise<EngineModel> {
  const begin = performance.now();
  checkOptions(options);
  onProgress({ phase: "metadata", loaded: 0, total: source.size });
  const file = await readGguf(source, signal === undefined ? {} : { signal });
  const definition = defineModel(file);
  const { spec, warnings: tokenizerWarnings } = tokenizerSpec(file.metadata, architectureOf(file), pick(options.pre));
  assertVocabulary(file, definition, packedCount(spec.tokens));
  const backend = await openBackend(options);
  const reader = new FileWeightReader(source, file, options.i2sLayout ?? "x86");
  const threads = { ...platform, wanted: options.threads ?? "auto" };
  const { nCtx, program } = await loadFitting(backend, definition, reader, options, threads, onProgress, signal);

  const described = describe(file, definition, backend, options, nCtx, reader.canReadSync);
  const data: LoadedModelData = {
    ...described,
    info: {
      ...described.info,
      backendDescription: program.description,
      threads: program.threads,
      threadsReason: program.threadsReason,
      loadMs: performance.now() - begin,
    },
    warnings: [...tokenizerWarnings, ...described.warnings],
    tokenizer: spec,
  };
  const { maxTokens, maxOutputs, nPages } = stepLimits(definition, options, nCtx);
  return {
    host: { program, pool: new PagePool(nPages), nCtx, nVocab: definition.config.nVocab, maxTokens, maxOutputs },
    tokenizer: createTokenizer(spec),
    data,
    dispose: () => program.dispose(),
  };
}

/** What is in the file, what it would take to run it, and what stands in the way; reads no weights. */
export async function inspectSource(source: ByteSource, options: EngineOptions, signal?: AbortSignal): Promise<FileData> {
  checkOptions(options);
  const file = await readGguf(source, signal === undefined ? {} : { signal });
  const tokenizer = attempt(() => tokenizerSpec(file.metadata, architectureOf(file), pick(options.pre)));
  const backend = await openBackend(options);
  const model = attempt(() => {
    const definition = defineModel(file);
    return describe(file, definition, backend, options, chooseCtx(definition, options), source.readSync !== undefined);
  });
  return {
    name: source.name,
    size: source.size,
    version: file.version,
    entries: file.metadata.entries,
    tensors: file.tensors,
    tokenizer: tokenizer.value?.spec ?? null,
    tokenizerError: tokenizer.error,
    tokenizerWarnings: tokenizer.value?.warnings ?? [],
    model: model.value,
    modelError: model.error,
  };
}

/** Fewer tokens than rows are padding; more would name rows that are not there. */
function assertVocabulary(file: GgufFile, definition: ModelDefinition, nTokens: number): void {
  const { nVocab } = definition.config;
  if (nTokens <= nVocab) return;
  const byteOffset = file.metadata.entry("tokenizer.ggml.tokens")?.byteOffset ?? 0;
  const message = `model: the vocabulary at byte ${byteOffset} has ${nTokens} tokens; token_embd.weight has ${nVocab} rows`;
  throw new GgufError("vocab-mismatch", message, byteOffset, { data: { nTokens, nVocab } });
}

function attempt<T>(work: () => T) {
  try {
    return { value: work(), error: null };
  } catch (error) {
    // kept as data: a file that cannot be run can still be looked at
    return { value: null, error: errorToJson(error) };
  }
}

async function openBackend(options: EngineOptions): Promise<Backend> {
  if (options.backend === "reference") return (await import("../backends/reference/backend.ts")).referenceBackend;
  const head: HeadChoice = options.head === "f16" ? "file" : (options.head ?? "auto");
  const { wasmBackend } = await import("../backends/wasm/backend.ts");
  return wasmBackend({ variant: options.simd === "auto" ? undefined : options.simd, head });
}

function chooseCtx(definition: ModelDefinition, options: EngineOptions): number {
  return options.nCtx ?? Math.min(definition.config.nCtxTrain, MAX_DEFAULT_CTX);
}

function stepLimits(definition: ModelDefinition, options: EngineOptions, nCtx: number): LoadOptions {
  const maxTokens = Math.min(MAX_STEP_TOKENS, nCtx);
  const maxOutputs = Math.max(1, Math.min(maxTokens, Math.floor(MAX_LOGITS_BYTES / (4 * definition.config.nVocab))));
  return { nPages: Math.ceil(nCtx / PAGE_TOKENS) * (options.nParallel ?? 1), maxTokens, maxOutputs };
}

/** Loads with the wanted context, or, where the caller left it open, with the largest half of it that memory allows. */
async function loadFitting(
  backend: Backend,
  definition: ModelDefinition,
  reader: FileWeightReader,
  options: EngineOptions,
  threads: ThreadOptions,
  onProgress: (progress: LoadProgress) => void,
  signal?: AbortSignal,
): Promise<{ nCtx: number; program: LoadedProgram }> {
  const report = (loaded: number, total: number) => onProgress({ phase: "weights", loaded, total });
  for (let nCtx = chooseCtx(definition, options); ; nCtx = Math.ceil(nCtx / 2)) {
    const limits = stepLimits(definition, options, nCtx);
    try {
      return {
        nCtx,
        program: await backend.load(definition.program, reader, {
          ...limits,
          threads,
          onProgress: report,
          ...(signal && { signal }),
        }),
      };
    } catch (error) {
      const isTooLarge = error instanceof BackendError && (error.code === "memory-refused" || error.code === "memory-too-large");
      if (!isTooLarge || options.nCtx !== undefined || nCtx <= PAGE_TOKENS) throw error;
    }
  }
}

function describe(
  file: GgufFile,
  definition: ModelDefinition,
  backend: Backend,
  options: EngineOptions,
  nCtx: number,
  canReadSync: boolean,
): Omit<LoadedModelData, "tokenizer"> {
  const { config, program } = definition;
  const warnings: string[] = [];
  const bytes = backend.plan(program, stepLimits(definition, options, nCtx), canReadSync);
  const plan: ModelPlan = {
    weightsBytes: bytes.weightsBytes,
    kvBytes: bytes.kvBytes,
    scratchBytes: bytes.scratchBytes,
    totalBytes: bytes.weightsBytes + bytes.kvBytes + bytes.scratchBytes,
    nCtx,
  };
  const template = effectiveChatTemplate({
    architecture: config.architecture,
    template: file.metadata.string("tokenizer.chat_template") ?? null,
  });
  if (template.warning !== undefined) warnings.push(template.warning);
  if (nCtx > config.nCtxTrain)
    warnings.push(`nCtx ${nCtx} is above the ${config.nCtxTrain} tokens that the model was trained on; text may degrade`);
  warnings.push(...bytes.notes);
  return {
    info: {
      ...configFacts(config),
      ...fileFacts(file),
      kind: template.template === null ? "base" : "chat",
      nCtx,
      backend: backend.name,
      backendDescription: backend.name,
      threads: options.threads === undefined || options.threads === "auto" ? 1 : options.threads,
      threadsReason: "chosen when the model is loaded",
      loadMs: 0,
    },
    plan,
    warnings,
    chatTemplate: template.template,
    defaultSampling: familyOf(config.architecture).defaultSampling,
  };
}

function pick(pre: string | undefined) {
  return pre === undefined ? {} : { pre };
}
