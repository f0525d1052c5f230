/** A conversation: renders the model's template, keeps the KV cache between turns, and remembers what was said. */
import { type ChatMessage, type ToolDefinition, validateMessages } from "../chat/messages.ts";
import { ConfigError } from "../errors.ts";
import type { GenerateOptions } from "./generate-options.ts";
import { Generation } from "./generation.ts";
import type { GenerateSummary, PieceEvent } from "./protocol.ts";

export interface ChatOptions extends GenerateOptions {
  /** The system message. */
  readonly system?: string | undefined;
  /** What was said before; with `system`, that comes first. */
  readonly messages?: readonly ChatMessage[] | undefined;
  readonly tools?: readonly ToolDefinition[] | undefined;
}

/** What a chat needs of its model. */
export interface ChatHost {
  /** Ids of the conversation with the generation prompt behind it; special tokens in contents are not parsed. */
  encodeChat(messages: readonly ChatMessage[], tools: readonly ToolDefinition[] | undefined): Promise<number[]>;
  newSession(): Promise<number>;
  disposeSession(id: number): Promise<void>;
  generate(
    session: number,
    ids: readonly number[],
    options: GenerateOptions,
    onPiece: (piece: PieceEvent) => void,
    signal: AbortSignal,
  ): Promise<GenerateSummary>;
}

export class Chat {
  readonly #host: ChatHost;
  readonly #options: ChatOptions;
  readonly #messages: ChatMessage[];
  #session: Promise<number> | null = null;
  /** The end of the latest turn; the next one waits for it. */
  #last: Promise<unknown> = Promise.resolve();
  #isDisposed = false;

  constructor(host: ChatHost, options: ChatOptions = {}) {
    this.#host = host;
    this.#options = options;
    this.#messages = [
      ...(options.system === undefined ? [] : [{ role: "system", content: options.system }]),
      ...(options.messages ?? []),
    ];
  }

  /** The conversation so far. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /**
   * Says something; the answer starts when it is first used. A turn that fails leaves the conversation as it was; a cancelled one keeps
   * what was answered so far.
   * @throws (from the answer) TemplateError, ContextOverflowError, ConfigError
   */
  send(content: string | ChatMessage, options: GenerateOptions = {}): Generation {
    const message: ChatMessage = typeof content === "string" ? { role: "user", content } : content;
    const settings = { ...this.#options, ...options };
    return new Generation((onPiece, signal) => {
      const turn = this.#last.then(() => this.#turn(message, settings, onPiece, signal));
      this.#last = turn.catch(() => {}); // the answer carries the error; the next turn only waits
      return turn;
    }, settings.signal);
  }

  /** Gives the KV cache back; idempotent. */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    if (this.#session !== null) await this.#host.disposeSession(await this.#session);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  async #turn(
    message: ChatMessage,
    settings: ChatOptions,
    onPiece: (piece: PieceEvent) => void,
    signal: AbortSignal,
  ): Promise<GenerateSummary> {
    if (this.#isDisposed) throw new ConfigError("session-disposed", "chat: it was disposed of");
    const messages = [...this.#messages, message];
    validateMessages(messages);
    const ids = await this.#host.encodeChat(messages, settings.tools);
    this.#session ??= this.#host.newSession();
    let answer = "";
    const summary = await this.#host.generate(
      await this.#session,
      ids,
      settings,
      (piece) => {
        answer += piece.text;
        onPiece(piece);
      },
      signal,
    );
    this.#messages.push(message, { role: "assistant", content: answer });
    return summary;
  }
}
