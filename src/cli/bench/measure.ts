/**
 * Speed of one loaded model: repetitions of a prefill and a greedy decode behind it. Prompts are fixed ids without meaning; the
 * generated ids are the model's own and never end the text.
 */
import type { Model } from "../../index.ts";

export interface Lengths {
  /** Tokens of the prompt. */
  readonly nPrefill: number;
  /** Tokens decoded behind it, one per step. */
  readonly nDecode: number;
}

/** Tokens per second of one repetition. */
export interface Rates {
  readonly prefill: number;
  readonly decode: number;
}

/** Ids spread over the vocabulary, the same ones each time: 7919 is prime, so that they repeat late. */
export function benchIds(n: number, nVocab: number): number[] {
  return Array.from({ length: n }, (_, i) => (7919 * i + 13) % nVocab);
}

/** Short, but every kernel has run: code is compiled, pages are touched. */
const WARM_UP: Lengths = { nPrefill: 16, nDecode: 4 };

/** Runs once without counting. @throws what `generate` throws */
export async function warmUp(model: Model, { nPrefill, nDecode }: Lengths, signal?: AbortSignal): Promise<void> {
  const lengths = { nPrefill: Math.min(nPrefill, WARM_UP.nPrefill), nDecode: Math.min(nDecode, WARM_UP.nDecode) };
  await measureOnce(model, lengths, signal);
}

/** @throws what `generate` throws; the signal's reason */
export async function measureOnce(model: Model, { nPrefill, nDecode }: Lengths, signal?: AbortSignal): Promise<Rates> {
  const ids = benchIds(nPrefill, model.info.nVocab);
  // the first token comes out of the prefill
  const options = { temperature: 0, ignoreEos: true, maxTokens: nDecode + 1, ...(signal && { signal }) };
  const { tokens, timings } = await model.generate(ids, options).result;
  signal?.throwIfAborted();
  if (tokens.length !== nDecode + 1) throw new Error(`bench: ${tokens.length} tokens came, not ${nDecode + 1}`);
  return { prefill: timings.prefillTokensPerSecond, decode: timings.decodeTokensPerSecond };
}

export function best(values: readonly number[]): number {
  return Math.max(...values);
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

/** The largest resident set of this process while `work` runs. */
export async function withPeak<T>(work: () => Promise<T>): Promise<{ readonly value: T; readonly peakBytes: number }> {
  const highBefore = highWater();
  let peak = process.memoryUsage.rss();
  const sample = () => {
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  const timer = setInterval(sample, 20);
  try {
    const value = await work();
    sample();
    // the system's own high-water mark is exact where it rose meanwhile; it never falls
    return { value, peakBytes: highWater() > highBefore ? highWater() : peak };
  } finally {
    clearInterval(timer);
  }
}

function highWater(): number {
  return 1024 * process.resourceUsage().maxRSS;
}
