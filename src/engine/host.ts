/**
 * The worker's side of the protocol: answers requests over a port. Knows no platform: an entry point gives it a port, the way to open
 * a path, and the way to let messages through. Requests on one session wait for each other; everything else runs interleaved.
 */
import type { ThreadOptions } from "../backends/backend.ts";
import type { ByteSource } from "../bytes/byte-source.ts";
import { abortError, ConfigError, errorFromJson, errorToJson } from "../errors.ts";
import { generate } from "./generate.ts";
import { type EngineModel, inspectSource, loadEngine } from "./load.ts";
import type { CallerMessage, GenerateRequest, Method, Methods, Port, WorkerMessage } from "./protocol.ts";
import { SessionCore, type YieldToEvents } from "./session-core.ts";
import { type OpenPath, openDescribed, type SourceDescriptor } from "./source.ts";

export interface HostPlatform {
  readonly openPath: OpenPath | null;
  readonly yieldToEvents: YieldToEvents;
  readonly threads: Omit<ThreadOptions, "wanted">;
}

type Handler<M extends Method> = (
  params: Methods[M]["params"],
  signal: AbortSignal,
  emit: (event: Methods[M]["event"]) => void,
) => Promise<Methods[M]["result"]>;

export function serveEngine(port: Port<WorkerMessage, CallerMessage>, platform: HostPlatform): void {
  const host = new EngineHost(port, platform);
  port.listen((message) => host.receive(message));
}

interface Held {
  readonly session: SessionCore;
  /** The end of the latest request on it. */
  last: Promise<unknown>;
}

class EngineHost {
  readonly #port: Port<WorkerMessage, CallerMessage>;
  readonly #platform: HostPlatform;
  readonly #running = new Map<number, AbortController>();
  readonly #reads = new Map<number, { resolve: (bytes: Uint8Array) => void; reject: (error: unknown) => void }>();
  readonly #sessions = new Map<number, Held>();
  #nextRead = 1;
  #nextSession = 1;
  #model: EngineModel | null = null;
  #source: ByteSource | null = null;

  constructor(port: Port<WorkerMessage, CallerMessage>, platform: HostPlatform) {
    this.#port = port;
    this.#platform = platform;
  }

  receive(message: CallerMessage): void {
    switch (message.type) {
      case "request":
        void this.#answer(message.id, message.method, message.params, message.isCancelled);
        return;
      case "cancel":
        this.#running.get(message.id)?.abort();
        return;
      case "bytes": {
        const read = this.#reads.get(message.read);
        this.#reads.delete(message.read);
        if (message.bytes !== null) read?.resolve(message.bytes);
        else read?.reject(errorFromJson(message.error!));
        return;
      }
      case "role":
        return;
      default:
        throw new Error(message satisfies never);
    }
  }

  async #answer(id: number, method: Method, params: unknown, isCancelled: boolean): Promise<void> {
    const controller = new AbortController();
    if (isCancelled) controller.abort();
    this.#running.set(id, controller);
    try {
      const handler = this.#handlers[method] as Handler<Method>;
      const value = await handler(params as never, controller.signal, (event) => this.#port.post({ type: "event", id, event }));
      this.#port.post({ type: "result", id, value }, value instanceof Float32Array ? [value.buffer as ArrayBuffer] : []);
    } catch (error) {
      this.#port.post({ type: "error", id, error: errorToJson(error) });
    } finally {
      this.#running.delete(id);
    }
  }

  readonly #handlers: { readonly [M in Method]: Handler<M> } = {
    load: async ({ source, options }, signal, emit) => {
      const opened = await this.#open(source, signal);
      try {
        this.#model = await loadEngine(opened, options, this.#platform.threads, emit, signal);
      } catch (error) {
        await opened.close?.();
        throw error;
      }
      this.#source = opened;
      return this.#model.data;
    },
    inspect: async ({ source, options }, signal) => {
      const opened = await this.#open(source, signal);
      try {
        return await inspectSource(opened, options, signal);
      } finally {
        await opened.close?.();
      }
    },
    newSession: async () => this.#hold(new SessionCore(this.#loaded().host)),
    forkSession: ({ session }) => this.#queued(session, async (core) => this.#hold(core.fork())),
    disposeSession: async ({ session }) => {
      const held = this.#sessions.get(session);
      await held?.last;
      held?.session.dispose();
      this.#sessions.delete(session);
      return null;
    },
    truncate: ({ session, nPast }) =>
      this.#queued(session, async (core) => {
        core.truncate(nPast);
        return null;
      }),
    prefill: ({ session, ids, logits }, signal) =>
      this.#queued(session, (core) => core.prefill(ids, logits, this.#platform.yieldToEvents, signal)),
    position: ({ session }) => this.#queued(session, async (core) => core.nPast),
    decode: ({ session, id }) => this.#queued(session, async (core) => core.decode(id).slice()),
    generate: async (request, signal, emit) => {
      if (request.session !== null) return this.#queued(request.session, (core) => this.#generate(request, core, signal, emit));
      const core = new SessionCore(this.#loaded().host);
      try {
        return await this.#generate(request, core, signal, emit);
      } finally {
        core.dispose();
      }
    },
    dispose: async () => {
      for (const controller of this.#running.values()) controller.abort();
      this.#sessions.clear();
      this.#model?.dispose();
      this.#model = null;
      await this.#source?.close?.();
      this.#source = null;
      return null;
    },
  };

  #generate(
    request: GenerateRequest,
    session: SessionCore,
    signal: AbortSignal,
    emit: (event: Methods["generate"]["event"]) => void,
  ) {
    const { tokenizer, host } = this.#loaded();
    return generate(request, { session, tokenizer, nCtx: host.nCtx, emit, yieldToEvents: this.#platform.yieldToEvents, signal });
  }

  #loaded(): EngineModel {
    if (this.#model === null) throw new ConfigError("not-loaded", "engine: no model is loaded, or it was disposed of");
    return this.#model;
  }

  #hold(session: SessionCore): number {
    const id = this.#nextSession++;
    this.#sessions.set(id, { session, last: Promise.resolve() });
    return id;
  }

  /** Runs `work` when what was asked of the session before has ended. */
  #queued<T>(id: number, work: (session: SessionCore) => Promise<T>): Promise<T> {
    const held = this.#sessions.get(id);
    if (held === undefined) throw new ConfigError("session-disposed", "session: it was disposed of");
    const result = held.last.then(() => work(held.session));
    held.last = result.catch(() => {}); // whoever asked has the error; the queue only waits
    return result;
  }

  #open(descriptor: SourceDescriptor, signal: AbortSignal): Promise<ByteSource> {
    return openDescribed(
      descriptor,
      this.#platform.openPath,
      (offset, length, readSignal) => this.#readRemote(offset, length, readSignal),
      signal,
    );
  }

  /** Asks the caller's side for bytes. */
  #readRemote(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortError());
        return;
      }
      const read = this.#nextRead++;
      this.#reads.set(read, { resolve, reject });
      signal?.addEventListener("abort", () => reject(abortError()), { once: true });
      this.#port.post({ type: "read", read, offset, length });
    });
  }
}
