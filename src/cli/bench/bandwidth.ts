/**
 * Measures the read bandwidth of this machine's memory from WebAssembly: every thread reads a part of its own, all at once, several
 * times; the best pass counts.
 */
import { Worker } from "node:worker_threads";
import { CALL_BYTES, readKernel } from "../../machine/read-bandwidth.ts";

/** Together; far more than the caches that one program can count on, and about what a token of BitNet 2B-4T reads. */
const TOTAL_BYTES = 2 ** 30;
const N_PASSES = 6;

interface Job {
  readonly module: WebAssembly.Module;
  readonly nBytes: number;
  readonly callBytes: number;
  readonly nPasses: number;
  readonly nThreads: number;
  readonly thread: number;
  /** Threads that have arrived at a pass; counts up over all passes. */
  readonly arrived: Int32Array;
  /** Begin and end of [pass, thread] in ns of the system's monotonic clock, which threads share. */
  readonly times: Float64Array;
}

/** What a thread does. Self-contained: it is sent to the thread as text, so that the bundled program needs no second file. */
function readPasses(job: Job): void {
  const { module, nBytes, callBytes, nPasses, nThreads, thread, arrived, times } = job;
  const { memory, read } = new WebAssembly.Instance(module).exports as unknown as {
    memory: WebAssembly.Memory;
    read: (address: number) => number;
  };
  // pages that were never written are all one page of zeros, which a cache holds
  new Uint8Array(memory.buffer).fill(1);
  let seen = 0;
  for (let pass = 0; pass < nPasses; pass++) {
    Atomics.add(arrived, 0, 1);
    // spins: all begin within a microsecond
    while (Atomics.load(arrived, 0) < nThreads * (pass + 1)) seen ^= 0;
    const at = 2 * (pass * nThreads + thread);
    times[at] = Number(process.hrtime.bigint());
    for (let address = 0; address < nBytes; address += callBytes) seen ^= read(address);
    times[at + 1] = Number(process.hrtime.bigint());
  }
  // what was read must matter, or an engine could leave it out
  Atomics.add(arrived, 1, seen);
}

/** Bytes per second that `nThreads` threads read together. */
export async function readBandwidth(nThreads: number, signal?: AbortSignal): Promise<number> {
  signal?.throwIfAborted();
  const { wasm, nBytes } = readKernel(TOTAL_BYTES / nThreads);
  const module = new WebAssembly.Module(wasm as BufferSource);
  const arrived = new Int32Array(new SharedArrayBuffer(8));
  const times = new Float64Array(new SharedArrayBuffer(16 * N_PASSES * nThreads));
  const code = `(${readPasses})(require("node:worker_threads").workerData)`;
  const common = { module, nBytes, callBytes: CALL_BYTES, nPasses: N_PASSES, nThreads, arrived, times };
  const workers = Array.from({ length: nThreads }, (_, thread) => {
    const workerData: Job = { ...common, thread };
    return new Worker(code, { eval: true, workerData, execArgv: [] });
  });
  const stop = () => void Promise.all(workers.map((worker) => worker.terminate()));
  signal?.addEventListener("abort", stop, { once: true });
  try {
    await Promise.all(workers.map(ended));
  } finally {
    signal?.removeEventListener("abort", stop);
    stop();
  }
  signal?.throwIfAborted();
  return bestRate(times, nThreads, nBytes);
}

function ended(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("exit", () => resolve());
  });
}

/** A pass lasts from the first begin to the last end. */
function bestRate(times: Float64Array, nThreads: number, nBytes: number): number {
  let best = 0;
  for (let pass = 0; pass < N_PASSES; pass++) {
    let begin = Number.POSITIVE_INFINITY;
    let end = 0;
    for (let at = 2 * pass * nThreads; at < 2 * (pass + 1) * nThreads; at += 2) {
      begin = Math.min(begin, times[at]!);
      end = Math.max(end, times[at + 1]!);
    }
    best = Math.max(best, (1e9 * nThreads * nBytes) / (end - begin));
  }
  return best;
}
