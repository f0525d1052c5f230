/** The low-level handle of a sequence: ids in, logits out. What tests, evaluation and other decoders build on. */
import type { EngineClient } from "./client.ts";
import type { LogitsWanted } from "./session-core.ts";

export interface PrefillOptions {
  /** Which rows of logits to return. Default `last`. */
  readonly logits?: LogitsWanted;
  readonly signal?: AbortSignal;
}

export class Session {
  readonly #client: EngineClient;
  readonly #id: Promise<number>;
  #nPast: number;
  #isDisposed = false;

  constructor(client: EngineClient, id: Promise<number>, nPast = 0) {
    this.#client = client;
    this.#id = id;
    this.#nPast = nPast;
    // a session that cannot be made says so at its first use
    id.catch(() => {});
  }

  /** Positions that are in the KV cache. */
  get nPast(): number {
    return this.#nPast;
  }

  /**
   * Feeds `ids` and returns logits [rows, nVocab]: one row (`last`), one per id (`all`), none.
   * @throws ContextOverflowError, ConfigError `token-id`, BackendError `kv-cache-full`, AbortError (finished blocks stay)
   */
  async prefill(ids: ArrayLike<number>, { logits = "last", signal }: PrefillOptions = {}): Promise<Float32Array> {
    signal?.throwIfAborted();
    const session = await this.#id;
    try {
      const rows = await this.#client.call("prefill", { session, ids: Array.from(ids), logits }, { signal });
      this.#nPast += ids.length;
      return rows;
    } catch (error) {
      // finished blocks stay in the cache; a worker that died has no position to tell
      this.#nPast = await this.#client.call("position", { session }).catch(() => this.#nPast);
      throw error;
    }
  }

  /** Feeds one id; logits [nVocab]. */
  async decode(id: number): Promise<Float32Array> {
    const row = await this.#client.call("decode", { session: await this.#id, id });
    this.#nPast += 1;
    return row;
  }

  /** Forgets everything from position `nPast` on. */
  async truncate(nPast: number): Promise<void> {
    await this.#client.call("truncate", { session: await this.#id, nPast });
    this.#nPast = nPast;
  }

  /** A second session with the same past; memory is shared until one of them goes on. */
  fork(): Session {
    const id = this.#id.then((session) => this.#client.call("forkSession", { session }));
    return new Session(this.#client, id, this.#nPast);
  }

  /** Gives the pages back; idempotent. */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    await this.#client.call("disposeSession", { session: await this.#id });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}
