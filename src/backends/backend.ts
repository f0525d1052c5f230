/**
 * The contract of a backend: load a Program with its weights, then run steps. What changes from step to step travels in the `Step`;
 * everything else is fixed at load. The same conformance suite runs every backend.
 */
import type { Program } from "../graph/program.ts";
import type { KvLayer, Weight } from "../graph/tensor.ts";
import type { QuantMatrix } from "../quant/format.ts";

// the segment of attention is the page: part of this contract, decided by the cache
export { PAGE_TOKENS } from "../kv-cache/page-table.ts";

/** Consecutive tokens of one sequence in a step. */
export interface Span {
  readonly nTokens: number;
  /** Position of its first token. */
  readonly position: number;
  /** Page numbers of the sequence; page i holds positions [64 i, 64 i + 64). Covers every position of the span. */
  readonly pages: ArrayLike<number>;
}

/** One pass over the weights: tokens of one or several sequences. */
export interface Step {
  /** [nTokens], the spans' tokens back to back. */
  readonly tokens: ArrayLike<number>;
  readonly spans: readonly Span[];
  /** Rows of `tokens` whose logits are wanted, ascending; may be empty. */
  readonly outputs: ArrayLike<number>;
}

/** Where a backend gets weights from: `model/`'s reader of a file, or a test's own. */
export interface WeightReader {
  readonly canReadSync: boolean;
  rows(weight: Weight, begin: number, end: number, signal?: AbortSignal): Promise<QuantMatrix>;
  rowSync(weight: Weight, row: number): QuantMatrix;
  /** Where a weight begins in its file, where there is one: reading in that order reads forwards. */
  fileOffset?(weight: Weight): number;
}

/** A worker that helps a backend: it gets one message and answers `ready` once; afterwards it may block. */
export interface HelperHandle {
  post(message: unknown): void;
  onmessage(listener: (message: unknown) => void): void;
  onerror(listener: (error: unknown) => void): void;
  terminate(): void;
}

/** What the platform offers for threads; the engine hands it in, so that a backend knows no kind of worker. */
export interface ThreadOptions {
  readonly wanted: "auto" | number;
  /** What the platform says it has; may be wrong. */
  readonly hardwareConcurrency: number;
  /** Why memory cannot be shared, in words; null where it can. */
  readonly unavailable: string | null;
  spawn(): HelperHandle;
}

export interface LoadOptions {
  /** Pages of the KV cache that are reserved. */
  readonly nPages: number;
  /** Most tokens in one step. */
  readonly maxTokens: number;
  /** Most rows of logits in one step. */
  readonly maxOutputs: number;
  /** Labels that stay readable after a step (traces). */
  readonly keep?: readonly string[];
  /** Absent: one thread. */
  readonly threads?: ThreadOptions | undefined;
  readonly onProgress?: (loadedBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

export interface LoadedProgram {
  /** What was chosen and why, in words: kernel variant, threads. */
  readonly description: string;
  readonly threads: number;
  /** Why it is that many, in words. */
  readonly threadsReason: string;
  /** Logits [nOutputs, nVocab]; a view that the next step overwrites. */
  run(step: Step): Float32Array;
  /** Copies one page to another (copy on write). */
  copyPage(from: number, to: number): void;
  /** The rows of a kept label after a step: [rows, nCols]. */
  read(label: string): Float32Array;
  /** Frees memory; idempotent. */
  dispose(): void;
}

/** Bytes that a backend will hold, known before a weight is read. */
export interface MemoryPlan {
  readonly weightsBytes: number;
  readonly kvBytes: number;
  readonly scratchBytes: number;
  /** What a user should know of it, in words, e.g. that the head is served from a copy. */
  readonly notes: readonly string[];
}

export interface Backend {
  readonly name: "reference" | "wasm" | "webgpu";
  /** `canReadSync`: whether the source can be read without waiting; decides where a large embedding lives. */
  plan(program: Program, options: LoadOptions, canReadSync: boolean): MemoryPlan;
  load(program: Program, weights: WeightReader, options: LoadOptions): Promise<LoadedProgram>;
}

/** Bytes of one token in an f16 cache: K and V of every layer. */
export function kvBytesPerToken(layers: readonly KvLayer[]): number {
  return layers.reduce((sum, layer) => sum + 2 * 2 * layer.nHeadKv * layer.headDim, 0);
}

/**
 * How far a backend may be from the reference per op, as NMSE against it on random inputs. Integer dot products are exact, so what
 * is left is one f32 rounding per step: 2⁻²⁴ relative, squared, times a few steps. `exp` in f32 is good to 2 ulp.
 */
export const OP_TOLERANCE = { exact: 0, f32: 1e-12, attention: 1e-11, activation: 1e-12 } as const;
