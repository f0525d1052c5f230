/**
 * A running or not yet started answer: iterate it, read it as a stream, or wait for its text. It starts at first use; leaving the loop
 * cancels it, as the signal does.
 */
import { abortError } from "../errors.ts";
import type { FinishReason, GenerateSummary, PieceEvent } from "./protocol.ts";

/** One generated token with the text that it completes (empty in the middle of a character), or held-back text at the end. */
export type Piece = PieceEvent;

export interface GenerationTimings {
  readonly prefillMs: number;
  readonly prefillTokensPerSecond: number;
  readonly decodeMs: number;
  readonly decodeTokensPerSecond: number;
}

export interface GenerationResult {
  readonly text: string;
  /** Generated ids, without the prompt and the final end-of-generation token. */
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  /** Prompt tokens that were in the KV cache already. */
  readonly cachedTokens: number;
  readonly finishReason: FinishReason;
  /** The seed given, or the one that was drawn. */
  readonly seed: number;
  readonly timings: GenerationTimings;
}

/** Runs the request; gives pieces as they come. */
export type StartGeneration = (onPiece: (piece: Piece) => void, signal: AbortSignal) => Promise<GenerateSummary>;

export class Generation implements AsyncIterable<Piece> {
  readonly #start: StartGeneration;
  readonly #callerSignal: AbortSignal | undefined;
  readonly #controller = new AbortController();
  readonly #pieces: Piece[] = [];
  #running: Promise<GenerationResult> | null = null;
  /** Wakes whoever waits for the next piece. */
  #wake: (() => void) | null = null;
  #isEnded = false;

  constructor(start: StartGeneration, signal?: AbortSignal) {
    this.#start = start;
    this.#callerSignal = signal;
  }

  /** Waits for the end. Cancelling is not an error here: `finishReason` is `abort`. */
  get result(): Promise<GenerationResult> {
    return this.#run();
  }

  /** The whole text. @throws the signal's reason when cancelled; LmError. */
  async text(): Promise<string> {
    const result = await this.#run();
    this.#throwIfAborted();
    return result.text;
  }

  /** The text that has come so far. */
  get partialText(): string {
    return this.#pieces.map((piece) => piece.text).join("");
  }

  /** The text as a stream of strings; cancelling it cancels the generation. */
  get readable(): ReadableStream<string> {
    const iterator = this[Symbol.asyncIterator]();
    return new ReadableStream<string>({
      async pull(controller) {
        for (;;) {
          const { value, done } = await iterator.next();
          if (done) controller.close();
          else if (value.text === "") continue;
          else controller.enqueue(value.text);
          return;
        }
      },
      cancel: async () => void (await iterator.return?.()),
    });
  }

  /** Stops within one token; `result` still resolves, with what there is. */
  cancel(): void {
    this.#controller.abort(abortError("The generation was cancelled"));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Piece, void, undefined> {
    const running = this.#run();
    // whoever iterates gets the error below; it must not count as unhandled before
    running.catch(() => {});
    let next = 0;
    let isFinished = false;
    try {
      for (;;) {
        while (next < this.#pieces.length) yield this.#pieces[next++]!;
        if (this.#isEnded) break;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      isFinished = true;
      await running;
      this.#throwIfAborted();
    } finally {
      if (!isFinished) {
        // the loop was left: the worker has stopped when this returns, so the next call works at once
        this.cancel();
        await running.catch(() => {});
      }
    }
  }

  #run(): Promise<GenerationResult> {
    this.#running ??= this.#begin();
    return this.#running;
  }

  async #begin(): Promise<GenerationResult> {
    const signal = this.#callerSignal;
    const forward = () => this.#controller.abort(signal?.reason);
    if (signal?.aborted) forward();
    signal?.addEventListener("abort", forward, { once: true });
    try {
      const summary = await this.#start((piece) => this.#push(piece), this.#controller.signal);
      return {
        text: this.partialText,
        tokens: summary.tokens,
        promptTokens: summary.promptTokens,
        cachedTokens: summary.cachedTokens,
        finishReason: summary.finishReason,
        seed: summary.seed,
        timings: timings(summary),
      };
    } finally {
      signal?.removeEventListener("abort", forward);
      this.#isEnded = true;
      this.#wake?.();
    }
  }

  #push(piece: Piece): void {
    this.#pieces.push(piece);
    this.#wake?.();
    this.#wake = null;
  }

  #throwIfAborted(): void {
    if (this.#callerSignal?.aborted) throw this.#callerSignal.reason;
  }
}

function timings(summary: GenerateSummary): GenerationTimings {
  const { prefillMs, decodeMs } = summary;
  const nPrefilled = summary.promptTokens - summary.cachedTokens;
  // the first token comes out of the prefill; each decode step makes one more
  const nDecoded = Math.max(0, summary.tokens.length - 1);
  return {
    prefillMs,
    prefillTokensPerSecond: prefillMs > 0 ? (1000 * nPrefilled) / prefillMs : 0,
    decodeMs,
    decodeTokensPerSecond: decodeMs > 0 ? (1000 * nDecoded) / decodeMs : 0,
  };
}
