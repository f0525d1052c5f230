/**
 * The public handle of a loaded model. Everything heavy happens in its worker; tokenising is done here, at once, from the same
 * vocabulary.
 */
import type { ChatMessage, ToolDefinition } from "../chat/messages.ts";
import { validateMessages } from "../chat/messages.ts";
import type { ChatTemplateInput } from "../chat/template.ts";
import { type TemplatePort, TemplateRunner } from "../chat/template-host.ts";
import { abortError, ConfigError, UnsupportedError } from "../errors.ts";
import { createTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { Chat, type ChatOptions } from "./chat.ts";
import { EngineClient } from "./client.ts";
import { checkOptions, type EngineOptions } from "./engine-options.ts";
import { checkGenerateOptions, type GenerateOptions, withDefaults } from "./generate-options.ts";
import { Generation } from "./generation.ts";
import type { ModelInfo, ModelPlan } from "./info.ts";
import type { GenerateRequest, LoadedModelData, LoadProgress } from "./protocol.ts";
import { Session } from "./session.ts";
import { describeSource, type ModelSource } from "./source.ts";
import { type SpawnOptions, spawnWorker } from "./spawn.ts";

export interface LoadOptions extends EngineOptions, SpawnOptions {
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Sent with every request of a URL. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Replaces the platform's `fetch` for a URL. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

export interface TokenizeOptions {
  /** Puts the model's BOS first. Default false. */
  readonly bos?: boolean;
  /** Parses special tokens that are spelled in the text. Default false. */
  readonly special?: boolean;
}

export interface RenderChatOptions {
  readonly tools?: readonly ToolDefinition[] | undefined;
  /** Opens the assistant's turn. Default true. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** The clock of `strftime_now`. */
  readonly now?: Date | undefined;
}

/**
 * Loads a model in a worker of its own.
 * @throws LmError of any class; the signal's reason when cancelled. Nothing is left behind.
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  options.signal?.throwIfAborted();
  const engine = engineOptions(options);
  checkOptions(engine);
  const { descriptor, remote } = await describeSource(source, options);
  const client = new EngineClient(spawnWorker("engine", options), remote);
  try {
    const data = await client.call(
      "load",
      { source: descriptor, options: engine },
      { ...(options.onProgress && { onEvent: options.onProgress }), signal: options.signal },
    );
    return new Model(client, data, options);
  } catch (error) {
    client.terminate(abortError("The load failed"));
    options.signal?.throwIfAborted();
    throw error;
  }
}

/** The options that concern the worker: what can be sent there. */
export function engineOptions(options: LoadOptions): EngineOptions {
  const { nCtx, nParallel, backend, threads, simd, head, i2sLayout, pre } = options;
  return { nCtx, nParallel, backend, threads, simd, head, i2sLayout, pre };
}

export class Model {
  readonly info: ModelInfo;
  readonly plan: ModelPlan;
  readonly warnings: readonly string[];
  /** The Jinja template of chats; null where the model has none. */
  readonly chatTemplate: string | null;
  readonly #client: EngineClient;
  readonly #data: LoadedModelData;
  readonly #tokenizer: Tokenizer;
  readonly #templates: TemplateRunner;
  #isDisposed = false;

  constructor(client: EngineClient, data: LoadedModelData, spawn: SpawnOptions) {
    this.#client = client;
    this.#data = data;
    this.info = data.info;
    this.plan = data.plan;
    this.warnings = data.warnings;
    this.chatTemplate = data.chatTemplate;
    this.#tokenizer = createTokenizer(data.tokenizer);
    this.#templates = new TemplateRunner(() => templatePort(spawn));
  }

  /** Continues `prompt`: text (BOS as the model asks, special tokens not parsed) or ids (nothing is added). */
  generate(prompt: string | readonly number[], options: GenerateOptions = {}): Generation {
    checkGenerateOptions(options);
    return new Generation((onPiece, signal) => {
      const ids = typeof prompt === "string" ? this.#tokenizer.encode(prompt, { addSpecial: true, eos: false }) : [...prompt];
      return this.#generate(null, ids, options, onPiece, signal);
    }, options.signal);
  }

  /** A conversation that keeps its KV cache between turns. @throws (from its answers) UnsupportedError `no-chat-template` */
  chat(options: ChatOptions = {}): Chat {
    checkGenerateOptions(options);
    return new Chat(
      {
        encodeChat: (messages, tools) => this.#encodeChat(messages, tools),
        newSession: () => this.#client.call("newSession", {}),
        disposeSession: async (session) => void (this.#isDisposed || (await this.#client.call("disposeSession", { session }))),
        generate: (session, ids, generateOptions, onPiece, signal) =>
          this.#generate(session, ids, generateOptions, onPiece, signal),
      },
      options,
    );
  }

  /** A sequence of ids under your own control. */
  session(): Session {
    return new Session(this.#client, this.#client.call("newSession", {}));
  }

  /** The model's own tokenizer, with everything that `tokenize` and `detokenize` leave out. */
  get tokenizer(): Tokenizer {
    return this.#tokenizer;
  }

  /** Ids of `text`: no BOS and no special tokens unless asked. */
  tokenize(text: string, options: TokenizeOptions = {}): number[] {
    return this.#tokenizer.encode(text, { bos: options.bos ?? false, eos: false, special: options.special ?? false });
  }

  /** Text of `ids`; special tokens are left out unless asked. */
  detokenize(ids: readonly number[], options: { readonly special?: boolean } = {}): string {
    return this.#tokenizer.decode(ids, { skipSpecial: !(options.special ?? false) });
  }

  /** The conversation as the model's template writes it. @throws TemplateError, UnsupportedError `no-chat-template` */
  async renderChat(messages: readonly ChatMessage[], options: RenderChatOptions = {}): Promise<string> {
    validateMessages(messages);
    return this.#render(messages, options);
  }

  /** Ends the worker and frees its memory; what runs is cancelled. Idempotent. */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#templates.dispose();
    try {
      await this.#client.call("dispose", {});
    } finally {
      this.#client.terminate(new ConfigError("disposed", "model: it was disposed of"));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #generate(
    session: number | null,
    ids: readonly number[],
    options: GenerateOptions,
    onPiece: (piece: { text: string; tokenId: number | null }) => void,
    signal: AbortSignal,
  ) {
    const { sampling, maxTokens, stop } = checkGenerateOptions(options);
    const request: GenerateRequest = {
      session,
      ids,
      sampling: withDefaults(sampling, this.#data.defaultSampling),
      maxTokens,
      stop,
      ignoreEos: options.ignoreEos ?? false,
    };
    return this.#client.call("generate", request, { onEvent: onPiece, signal });
  }

  async #encodeChat(messages: readonly ChatMessage[], tools: readonly ToolDefinition[] | undefined): Promise<number[]> {
    // what a user writes must never become a special token: a guard inside each spelled one keeps them apart through the template
    const guard = this.#tokenizer.pickGuard([JSON.stringify([messages, tools ?? []]), this.chatTemplate ?? ""]);
    const guardText = (text: string) => this.#tokenizer.guardUserText(text, guard);
    // roles are the template's own words: it builds tokens of them
    const guarded = messages.map((message) => ({ ...guardStrings(message, guardText), role: message.role }));
    const text = await this.#render(guarded, { tools: tools && guardStrings(tools, guardText) });
    const ids = this.#tokenizer.encodeTemplate(text, guard);
    const { bosId, addBos } = this.#data.tokenizer;
    // exactly one BOS: templates write it themselves or leave it to the tokenizer
    return addBos && bosId !== null && ids[0] !== bosId ? [bosId, ...ids] : ids;
  }

  async #render(messages: readonly ChatMessage[], options: RenderChatOptions): Promise<string> {
    if (this.chatTemplate === null) {
      throw new UnsupportedError(
        "no-chat-template",
        "chat: the model has no chat template; it continues text and does not answer",
        {
          data: { what: "chat template", found: null, supported: [] },
          hint: "Use generate(), or a model that was trained to chat.",
        },
      );
    }
    const { bosId, eosId } = this.#data.tokenizer;
    const input: ChatTemplateInput = {
      messages,
      addGenerationPrompt: options.addGenerationPrompt ?? true,
      bosToken: bosId === null ? "" : this.#tokenizer.piece(bosId),
      eosToken: eosId === null ? "" : this.#tokenizer.piece(eosId),
      ...(options.tools !== undefined && { tools: options.tools }),
      ...(options.now !== undefined && { now: options.now }),
    };
    return this.#templates.render(this.chatTemplate, input);
  }
}

/** `value` with every string in it guarded. */
function guardStrings<T>(value: T, guard: (text: string) => string): T {
  if (typeof value === "string") return guard(value) as T;
  if (Array.isArray(value)) return value.map((item) => guardStrings(item, guard)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, guardStrings(item, guard)])) as T;
}

function templatePort(spawn: SpawnOptions): TemplatePort {
  const worker = spawnWorker<Parameters<TemplatePort["postMessage"]>[0], Parameters<Parameters<TemplatePort["onmessage"]>[0]>[0]>(
    "template",
    spawn,
  );
  return {
    postMessage: (message) => worker.post(message),
    onmessage: (listener) => worker.onmessage(listener),
    onerror: (listener) => worker.onerror(listener),
    terminate: () => worker.terminate(),
    ref: () => worker.ref(),
    unref: () => worker.unref(),
  };
}
