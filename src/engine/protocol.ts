/**
 * The messages between a model's handle and its worker. One request has one id and ends in exactly one `result` or `error`; a running
 * request may send events before, and can be cancelled. The first message to a worker names its role.
 *
 * caller → worker: role, request, cancel, bytes (answer to a read).  worker → caller: event, result, error, read.
 */
import type { ErrorJson } from "../errors.ts";
import type { GgufEntry, GgufTensor } from "../gguf/metadata.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import type { TokenizerSpec } from "../tokenizer/spec.ts";
import type { EngineOptions } from "./engine-options.ts";
import type { ModelInfo, ModelPlan } from "./info.ts";
import type { LogitsWanted } from "./session-core.ts";
import type { SourceDescriptor } from "./source.ts";

export type WorkerRole = "engine" | "helper" | "template";

/** How far a load is: bytes of weights that are in place. */
export interface LoadProgress {
  readonly phase: "metadata" | "weights";
  readonly loaded: number;
  readonly total: number;
}

/** What the caller keeps of a loaded model. */
export interface LoadedModelData {
  readonly info: ModelInfo;
  readonly plan: ModelPlan;
  readonly warnings: readonly string[];
  readonly tokenizer: TokenizerSpec;
  /** The template that chats use; null where the model has none. */
  readonly chatTemplate: string | null;
  /** What the model's family suggests where the caller says nothing. */
  readonly defaultSampling: SamplingOptions;
}

/** What is in a file, without its weights. */
export interface FileData {
  readonly name: string;
  readonly size: number;
  readonly version: number;
  readonly entries: readonly GgufEntry[];
  readonly tensors: readonly GgufTensor[];
  /** Null where the tokenizer cannot be built; `tokenizerError` says why. */
  readonly tokenizer: TokenizerSpec | null;
  readonly tokenizerError: ErrorJson | null;
  readonly tokenizerWarnings: readonly string[];
  /** Null where the model cannot be run; `modelError` says why. */
  readonly model: Omit<LoadedModelData, "tokenizer"> | null;
  readonly modelError: ErrorJson | null;
}

export interface GenerateRequest {
  /** The whole prompt; what the session already holds of it is not computed again. Null session: a fresh one. */
  readonly session: number | null;
  readonly ids: readonly number[];
  readonly sampling: SamplingOptions;
  readonly maxTokens: number | null;
  readonly stop: readonly string[];
  readonly ignoreEos: boolean;
}

/** One generated token, or the text that was still held back at the end (tokenId null). */
export interface PieceEvent {
  readonly text: string;
  readonly tokenId: number | null;
}

export type FinishReason = "eos" | "stop" | "length" | "context" | "abort";

export interface GenerateSummary {
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  /** Prompt tokens that were in the KV cache already. */
  readonly cachedTokens: number;
  readonly finishReason: FinishReason;
  readonly seed: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
}

/** Every request by name: what it takes, gives, and says in between. */
export interface Methods {
  load: { params: { source: SourceDescriptor; options: EngineOptions }; result: LoadedModelData; event: LoadProgress };
  inspect: { params: { source: SourceDescriptor; options: EngineOptions }; result: FileData; event: never };
  newSession: { params: Record<never, never>; result: number; event: never };
  forkSession: { params: { session: number }; result: number; event: never };
  disposeSession: { params: { session: number }; result: null; event: never };
  truncate: { params: { session: number; nPast: number }; result: null; event: never };
  prefill: { params: { session: number; ids: ArrayLike<number>; logits: LogitsWanted }; result: Float32Array; event: never };
  position: { params: { session: number }; result: number; event: never };
  decode: { params: { session: number; id: number }; result: Float32Array; event: never };
  generate: { params: GenerateRequest; result: GenerateSummary; event: PieceEvent };
  dispose: { params: Record<never, never>; result: null; event: never };
}

export type Method = keyof Methods;

export type CallerMessage =
  | { readonly type: "role"; readonly role: WorkerRole }
  | {
      readonly type: "request";
      readonly id: number;
      readonly method: Method;
      readonly params: unknown;
      readonly isCancelled: boolean;
    }
  | { readonly type: "cancel"; readonly id: number }
  | { readonly type: "bytes"; readonly read: number; readonly bytes: Uint8Array | null; readonly error: ErrorJson | null };

export type WorkerMessage =
  | { readonly type: "event"; readonly id: number; readonly event: unknown }
  | { readonly type: "result"; readonly id: number; readonly value: unknown }
  | { readonly type: "error"; readonly id: number; readonly error: ErrorJson }
  | { readonly type: "read"; readonly read: number; readonly offset: number; readonly length: number };

/** One end of a worker's channel, whatever the platform. */
export interface Port<Out, In> {
  post(message: Out, transfer?: readonly ArrayBuffer[]): void;
  listen(listener: (message: In) => void): void;
}
