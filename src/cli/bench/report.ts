/** What `bitnet bench` says: one result per thread count, and the table of them. */
import { cpus } from "node:os";
import { bytes, counted, grouped } from "../output.ts";

/** One thread count; rates in tokens per second. */
export interface Result {
  readonly model: string;
  readonly threads: number;
  /** Best of the repetitions. */
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
  readonly loadMs: number;
  /** Largest resident set of the process. */
  readonly peakBytes: number;
  readonly medianPrefillTokensPerSecond: number;
  readonly medianDecodeTokensPerSecond: number;
  readonly prefillTokens: number;
  readonly decodeTokens: number;
  readonly reps: number;
  readonly quantization: string;
  readonly parameters: number;
  /** What computed. */
  readonly description: string;
  /** Bytes of weights that a decode step reads: all in memory but the embedding, of which it reads one row; no KV cache. */
  readonly bytesPerToken: number;
  /** Memory read from WebAssembly by as many threads; null for a model that stays in caches. */
  readonly readBytesPerSecond: number | null;
  /** The same by one thread. */
  readonly readBytesPerSecondOneThread: number | null;
  /** bytesPerToken · decodeTokensPerSecond / readBytesPerSecond. */
  readonly readShare: number | null;
}

/** The results of one model for a person, in lines. */
export function table(results: readonly Result[]): string[] {
  const [first] = results as [Result];
  const { prefillTokens, decodeTokens, reps } = first;
  const heads = ["threads", `prefill ${prefillTokens}`, `decode ${decodeTokens}`, "load", "peak memory", "of the read limit"];
  const rows = results.map((result) => [
    String(result.threads),
    rates(result.prefillTokensPerSecond, result.medianPrefillTokensPerSecond),
    rates(result.decodeTokensPerSecond, result.medianDecodeTokensPerSecond),
    `${grouped(result.loadMs)} ms`,
    bytes(result.peakBytes),
    result.readShare === null ? "–" : `${Math.round(100 * result.readShare)} %`,
  ]);
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) => cells.map((cell, i) => cell.padStart(widths[i]!)).join("  ");
  return [
    `${first.model}: ${grouped(first.parameters)} parameters, ${first.quantization}`,
    `${cpus()[0]?.model.trim() ?? "unknown CPU"}, ${counted(cpus().length, "core")}, Node ${process.versions.node}`,
    "",
    line(heads),
    ...rows.map(line),
    "",
    `Tokens per second, best of ${reps} (median). A decode step reads ${megabytes(first.bytesPerToken)} of weights.`,
    ...memoryLine(results),
  ];
}

function memoryLine(results: readonly Result[]): string[] {
  const speeds = new Map<number, number>();
  for (const { threads, readBytesPerSecond, readBytesPerSecondOneThread } of results) {
    if (readBytesPerSecond === null || readBytesPerSecondOneThread === null) continue;
    speeds.set(1, readBytesPerSecondOneThread).set(threads, readBytesPerSecond);
  }
  if (speeds.size === 0) return ["The model stays in caches: no share of the memory's speed is given."];
  const parts = [...speeds].map(([threads, speed]) => `${counted(threads, "thread")} ${(speed / 1e9).toFixed(1)} GB/s`);
  return [`Memory read from WebAssembly: ${parts.join(", ")}.`];
}

function rates(bestRate: number, medianRate: number): string {
  return `${rate(bestRate)} (${rate(medianRate)})`;
}

function rate(tokensPerSecond: number): string {
  return tokensPerSecond < 1000 ? tokensPerSecond.toFixed(1) : grouped(tokensPerSecond);
}

function megabytes(value: number): string {
  return `${value < 1e8 ? (value / 1e6).toFixed(1) : grouped(value / 1e6)} MB`;
}
