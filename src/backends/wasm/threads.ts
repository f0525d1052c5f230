/**
 * The coordinator's side of several threads: starts helpers, releases steps, notices the dead, and finds how many threads pay. A helper
 * must say `ready` before it is counted on.
 */
import { BackendError } from "../../errors.ts";
import type { HelperHandle, ThreadOptions } from "../backend.ts";
import type { HelperStart } from "./helper.ts";
import { COMMAND, CONTROL, type Command, MAX_THREADS, nextStepWord } from "./sync.ts";

/** A worker that has not answered by then will not: workers start in 50 ms, on a loaded machine in a second. */
const READY_MS = 20_000;
/** More threads than this were never faster: decode ends at the memory's bandwidth. */
const MAX_AUTO_THREADS = 8;
/** What the search for the best number may take. */
const SEARCH_MS = 200;
/** A larger number must be this much faster to be taken. */
const MIN_GAIN = 1.05;

/** Threads that may be needed at most: they have a place in the layout. */
export function maxThreads(options: ThreadOptions | undefined): number {
  if (options === undefined || options.unavailable !== null) return 1;
  if (options.wanted !== "auto") return Math.min(options.wanted, MAX_THREADS);
  return Math.max(1, Math.min(MAX_AUTO_THREADS, Math.floor(options.hardwareConcurrency) || 1));
}

export class ThreadPool {
  readonly #spawn: () => HelperHandle;
  readonly #helpers: HelperHandle[] = [];
  readonly #control: Int32Array;
  #death: BackendError | null = null;
  #nActive = 1;

  constructor(spawn: () => HelperHandle, control: Int32Array) {
    this.#spawn = spawn;
    this.#control = control;
  }

  get nActive(): number {
    return this.#nActive;
  }

  /** Runs with `n` threads from the next step on, starting helpers that are missing. @throws BackendError `worker-failed` */
  async use(n: number, start: Omit<HelperStart, "type" | "thread" | "step">): Promise<void> {
    const missing = Math.max(0, n - 1 - this.#helpers.length);
    await Promise.all(Array.from({ length: missing }, () => this.#start(start)));
    this.#nActive = n;
  }

  /** Ends helpers that are not active. */
  trim(): void {
    for (const helper of this.#helpers.splice(this.#nActive - 1)) helper.terminate();
  }

  /** Starts a step: everything that the header holds is written. @throws BackendError when a helper died */
  release(command: Command, nTokens: number, nOutputs: number): void {
    if (this.#death !== null) throw this.#death;
    const control = this.#control;
    control.fill(0, CONTROL.counters);
    control[CONTROL.nTokens] = nTokens;
    control[CONTROL.nOutputs] = nOutputs;
    this.#announce(command);
  }

  /** A thread did not come to a barrier: nothing that is shared can be trusted any more. */
  fail(cause: unknown): BackendError {
    this.#death ??= threadFailed(cause);
    return this.#death;
  }

  dispose(): void {
    if (this.#helpers.length === 0) return;
    this.#announce(COMMAND.stop);
    for (const helper of this.#helpers.splice(0)) helper.terminate();
  }

  #announce(command: Command): void {
    Atomics.store(this.#control, CONTROL.step, nextStepWord(this.#control[CONTROL.step]!, command, this.#nActive));
    Atomics.notify(this.#control, CONTROL.step);
  }

  #start(start: Omit<HelperStart, "type" | "thread" | "step">): Promise<void> {
    const helper = this.#spawn();
    this.#helpers.push(helper);
    const thread = this.#helpers.length;
    return new Promise((resolve, reject) => {
      let isReady = false;
      const fail = (cause: unknown) => {
        clearTimeout(late);
        // one that was never counted on takes nothing along; one that was ended on purpose is no longer listed
        if (!isReady) reject(threadFailed(cause));
        else if (this.#helpers.includes(helper)) this.fail(cause);
      };
      const late = setTimeout(() => fail(new Error(`not ready after ${READY_MS} ms`)), READY_MS);
      helper.onmessage(() => {
        clearTimeout(late);
        isReady = true;
        resolve();
      });
      helper.onerror(fail);
      const message: HelperStart = { type: "start", ...start, thread, step: Atomics.load(this.#control, CONTROL.step) };
      helper.post(message);
    });
  }
}

function threadFailed(cause: unknown): BackendError {
  return new BackendError("worker-failed", "wasm: a helper thread died or stopped answering", {
    hint: "Load the model again, or with fewer threads.",
    cause,
  });
}

/** What the pool needs to time a decode step with the threads that are active. */
export type TimeStep = () => number;

/**
 * Doubles the threads as long as it pays. `hardwareConcurrency` may be wrong both ways: it only bounds the search.
 * Returns the number and the reason in words.
 */
export async function chooseThreads(
  pool: ThreadPool,
  most: number,
  start: Omit<HelperStart, "type" | "thread" | "step">,
  timeStep: TimeStep,
): Promise<string> {
  const begin = performance.now();
  timeStep();
  let best = { n: 1, ms: timeStep() };
  let spent = performance.now() - begin;
  const tried = [`1: ${best.ms.toFixed(1)} ms`];
  while (best.n < most && spent < SEARCH_MS) {
    const n = Math.min(most, 2 * best.n);
    try {
      await pool.use(n, start);
    } catch {
      // as many as there are will do: the reason says so
      tried.push(`${n}: a helper did not start`);
      break;
    }
    const searched = performance.now();
    timeStep();
    const ms = Math.min(timeStep(), timeStep());
    spent += performance.now() - searched;
    tried.push(`${n}: ${ms.toFixed(1)} ms`);
    if (ms * MIN_GAIN > best.ms) break;
    best = { n, ms };
  }
  await pool.use(best.n, start);
  pool.trim();
  return `measured per token with threads ${tried.join(", ")}`;
}
