/** What `bitnet bench` measures: one model under several thread counts, and the machine's memory beside it. */
import { type Inspection, inspect, type LoadOptions, loadModel } from "../../index.ts";
import { counted, note, type Terminal } from "../output.ts";
import type { Progress } from "../progress.ts";
import { readBandwidth } from "./bandwidth.ts";
import { best, type Lengths, measureOnce, median, type Rates, warmUp, withPeak } from "./measure.ts";
import type { Result } from "./report.ts";

export interface Suite {
  readonly threadCounts: readonly ("auto" | number)[];
  readonly lengths: Lengths;
  readonly nReps: number;
  readonly load: LoadOptions;
  readonly progress: Progress;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** Models with fewer bytes per token are read from caches, not from memory. */
const MIN_SHARE_BYTES = 64 * 2 ** 20;

/** @throws what loading and generating throw; the signal's reason */
export async function measureAll(source: string, suite: Suite): Promise<Result[]> {
  const { progress, terminal, signal } = suite;
  const inspection = await inspect(source, suite.load);
  const results: Result[] = [];
  for (const [i, threads] of suite.threadCounts.entries()) {
    const onWarning = i === 0 ? (warning: string) => note(terminal, `note: ${warning}`) : () => {};
    results.push(await measureThreads(source, inspection, threads, suite, onWarning));
  }
  if (results.every(({ bytesPerToken }) => bytesPerToken < MIN_SHARE_BYTES)) return results;
  const speeds = new Map<number, number>();
  for (const threads of new Set([1, ...results.map((result) => result.threads)])) {
    progress.show(`reading memory with ${counted(threads, "thread")}`);
    speeds.set(threads, await readBandwidth(threads, signal));
  }
  return results.map((result) => {
    const readBytesPerSecond = speeds.get(result.threads)!;
    const readShare = (result.bytesPerToken * result.decodeTokensPerSecond) / readBytesPerSecond;
    return { ...result, readBytesPerSecond, readBytesPerSecondOneThread: speeds.get(1)!, readShare };
  });
}

async function measureThreads(
  source: string,
  inspection: Inspection,
  threads: "auto" | number,
  { lengths, nReps, load, progress, signal }: Suite,
  onWarning: (warning: string) => void,
): Promise<Result> {
  const { value, peakBytes } = await withPeak(async () => {
    const model = await loadModel(source, { ...load, threads, onProgress: progress.onLoad });
    try {
      progress.end();
      for (const warning of model.warnings) onWarning(warning);
      await warmUp(model, lengths, signal);
      const rates: Rates[] = [];
      for (let rep = 1; rep <= nReps; rep++) {
        progress.show(`${counted(model.info.threads, "thread")}: repetition ${rep} of ${nReps}`);
        rates.push(await measureOnce(model, lengths, signal));
      }
      return { info: model.info, weightsBytes: model.plan.weightsBytes, rates };
    } finally {
      progress.end();
      await model.dispose();
    }
  });
  const { info, weightsBytes, rates } = value;
  const prefill = rates.map((rate) => rate.prefill);
  const decode = rates.map((rate) => rate.decode);
  return {
    model: info.name ?? source,
    threads: info.threads,
    prefillTokensPerSecond: best(prefill),
    decodeTokensPerSecond: best(decode),
    loadMs: info.loadMs,
    peakBytes,
    medianPrefillTokensPerSecond: median(prefill),
    medianDecodeTokensPerSecond: median(decode),
    prefillTokens: lengths.nPrefill,
    decodeTokens: lengths.nDecode,
    reps: nReps,
    quantization: info.quantization,
    parameters: info.parameters,
    description: info.backendDescription,
    bytesPerToken: weightsBytes - heldEmbeddingBytes(source, inspection),
    readBytesPerSecond: null,
    readBytesPerSecondOneThread: null,
    readShare: null,
  };
}

/** The embedding's part of the plan: a large one is left in its file where that can be read at once (backends/wasm/weights.ts). */
function heldEmbeddingBytes(source: string, { tensors }: Inspection): number {
  const nBytes = tensors.find(({ name }) => name === "token_embd.weight")?.bytes ?? 0;
  return /^https?:/.test(source) || nBytes <= MAX_HELD_EMBEDDING_BYTES ? nBytes : 0;
}

/** As graph/serve-head.ts. */
const MAX_HELD_EMBEDDING_BYTES = 64 * 2 ** 20;
