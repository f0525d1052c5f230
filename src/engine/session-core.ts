/**
 * One sequence on one loaded Program: prefill in chunks, decode, truncate, fork. Knows tokens and pages, no text and no sampling.
 * Any chunking gives the same bits, so the chunk size is a matter of speed and of how soon an abort is seen.
 */
import type { LoadedProgram } from "../backends/backend.ts";
import { abortError, ConfigError, ContextOverflowError } from "../errors.ts";
import type { PagePool } from "../kv-cache/page-pool.ts";
import { PageTable } from "../kv-cache/page-table.ts";

/** Which rows of logits a prefill returns. */
export type LogitsWanted = "last" | "all" | "none";

/** What all sessions of a model share. */
export interface SessionHost {
  readonly program: LoadedProgram;
  readonly pool: PagePool;
  readonly nCtx: number;
  readonly nVocab: number;
  readonly maxTokens: number;
  readonly maxOutputs: number;
}

/** Lets messages be seen between two steps. */
export type YieldToEvents = () => Promise<void>;

export class SessionCore {
  readonly #host: SessionHost;
  readonly #table: PageTable;
  readonly #tokens: number[];
  #isPoisoned = false;

  constructor(host: SessionHost, from?: SessionCore) {
    this.#host = host;
    this.#table = from === undefined ? new PageTable(host.pool, (a, b) => host.program.copyPage(a, b)) : from.#table.fork();
    this.#tokens = from === undefined ? [] : [...from.#tokens];
  }

  /** Positions that are in the cache. */
  get nPast(): number {
    return this.#table.nPast;
  }

  /** The ids at positions [0, nPast). */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /**
   * Feeds `ids` and returns the wanted logits, [nWanted, nVocab].
   * An abort between chunks leaves the finished chunks in the cache.
   * @throws ContextOverflowError, ConfigError `token-id`, BackendError `kv-cache-full`, AbortError
   */
  async prefill(
    ids: ArrayLike<number>,
    wanted: LogitsWanted,
    yieldToEvents: YieldToEvents,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    this.#check(ids);
    const { nVocab, maxTokens, maxOutputs } = this.#host;
    const nRows = ids.length === 0 || wanted === "none" ? 0 : wanted === "all" ? ids.length : 1;
    const rows = new Float32Array(nRows * nVocab);
    const chunk = wanted === "all" ? Math.min(maxTokens, maxOutputs) : maxTokens;
    for (let begin = 0; begin < ids.length; begin += chunk) {
      if (begin > 0) await yieldToEvents();
      if (signal?.aborted) throw signal.reason ?? abortError();
      const tokens = Array.prototype.slice.call(ids, begin, begin + chunk) as number[];
      const isLast = begin + tokens.length === ids.length;
      const outputs = wanted === "all" ? tokens.map((_, i) => i) : wanted === "last" && isLast ? [tokens.length - 1] : [];
      rows.set(this.#step(tokens, outputs), wanted === "all" ? begin * nVocab : 0);
    }
    return rows;
  }

  /** Feeds one id; logits [nVocab], a view that the next step of the model overwrites. */
  decode(id: number): Float32Array {
    this.#check([id]);
    return this.#step([id], [0]);
  }

  /** Forgets everything from position `nPast` on. */
  truncate(nPast: number): void {
    this.#table.truncate(nPast);
    this.#tokens.length = nPast;
  }

  /** A second session with the same past; pages are shared until one of them writes. */
  fork(): SessionCore {
    return new SessionCore(this.#host, this);
  }

  dispose(): void {
    this.#table.dispose();
    this.#tokens.length = 0;
  }

  #step(tokens: readonly number[], outputs: readonly number[]): Float32Array {
    const position = this.nPast;
    this.#table.reserve(tokens.length);
    try {
      const logits = this.#host.program.run({
        tokens,
        spans: [{ nTokens: tokens.length, position, pages: this.#table.pages }],
        outputs,
      });
      this.#table.advance(tokens.length);
      this.#tokens.push(...tokens);
      return logits;
    } catch (error) {
      // a step that failed half-way may have written pages: nothing is read from this session again
      this.#isPoisoned = true;
      throw error;
    }
  }

  #check(ids: ArrayLike<number>): void {
    const { nCtx, nVocab } = this.#host;
    if (this.#isPoisoned) throw new ConfigError("session-failed", "session: an earlier step failed; make a new session");
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (!Number.isInteger(id) || id < 0 || id >= nVocab) {
        throw new ConfigError("token-id", `session: token ${i} is ${id}; must be a whole number from 0 to ${nVocab - 1}`, {
          data: { index: i },
        });
      }
    }
    if (this.nPast + ids.length > nCtx) {
      throw new ContextOverflowError(
        "context-overflow",
        `session: ${ids.length} token(s) behind ${this.nPast} do not fit into a context of ${nCtx}`,
        {
          data: { nPrompt: ids.length, nPast: this.nPast, nCtx },
          hint: "Shorten the prompt, or load the model with a larger nCtx.",
        },
      );
    }
  }
}
