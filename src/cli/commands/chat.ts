/** `bitnet chat`: a conversation with the model's template. The history stays in the session; only new tokens are computed. */
import { createInterface, type Interface } from "node:readline";
import { UnsupportedError } from "../../errors.ts";
import type { Chat, Model } from "../../index.ts";
import { integer, text } from "../args.ts";
import { defineCommand } from "../command.ts";
import { errorLine } from "../error-line.ts";
import { generateOptions, LOAD_FLAGS, loadOptions, SAMPLING_FLAGS, withModel } from "../flags.ts";
import { INTERRUPTED, interruptSignal, modelText, note, remark, type Terminal } from "../output.ts";
import { statistics } from "./run.ts";

const COMMANDS_HELP = "/reset forgets the conversation, /exit (or Ctrl-D) ends, Ctrl-C stops an answer";

export const chat = defineCommand({
  name: "chat",
  description: "Talks with a model that was trained to chat",
  notes: `${COMMANDS_HELP}. Where the standard input is no terminal, each line is one message and its answer goes to stdout.

  bitnet chat model.gguf --system "Be brief."`,
  flags: {
    system: text({ long: "system", hint: "TEXT", description: "The system message" }),
    maxTokens: integer(
      { long: "n-predict", short: "n", hint: "N", description: "Most tokens of an answer; default: no limit" },
      1,
    ),
    ...SAMPLING_FLAGS,
    ...LOAD_FLAGS,
  },
  async run({ values, source, terminal }) {
    const loading = interruptSignal(terminal);
    try {
      const options = await loadOptions(values, source, loading.signal);
      return await withModel(source, options, terminal, async (model) => {
        loading.signal.throwIfAborted();
        loading.stop();
        if (model.chatTemplate === null) throw noTemplate(model, source);
        const settings = { ...generateOptions(values), maxTokens: values.maxTokens, system: values.system };
        return converse(model, () => model.chat(settings), terminal);
      });
    } finally {
      loading.stop();
    }
  },
});

function noTemplate(model: Model, source: string): UnsupportedError {
  const name = model.info.name ?? source;
  return new UnsupportedError(
    "no-chat-template",
    `chat: '${name}' has no chat template: it continues texts and does not answer`,
    {
      data: { what: "chat template", found: null, supported: [] },
      hint: 'Use: bitnet run -p "the beginning of a text", or a model that was trained to chat',
    },
  );
}

async function converse(model: Model, begin: () => Chat, terminal: Terminal): Promise<number> {
  const { stdin: input, stdout: output } = terminal;
  const isInteractive = input.isTTY === true && output.isTTY === true;
  const lines = createInterface(isInteractive ? { input, output, prompt: "> " } : { input, crlfDelay: Number.POSITIVE_INFINITY });
  const turns = new Turns(model, begin, terminal);
  // in a terminal readline gets Ctrl-C as a key; elsewhere it comes as a signal
  const interrupt = () => turns.interrupt(lines);
  lines.on("SIGINT", interrupt);
  const stop = terminal.onInterrupt(interrupt);
  try {
    if (isInteractive) {
      remark(terminal, `${model.info.name ?? "model"}, ${model.info.nCtx} tokens of context. ${COMMANDS_HELP}.`);
      lines.prompt();
    }
    for await (const line of lines) {
      if (line.trim() === "/exit") break;
      if (line.trim() === "/reset") await turns.reset();
      else if (line.trim() !== "") await turns.say(line, isInteractive);
      if (turns.isEnded || (turns.isInterrupted && !isInteractive)) break;
      if (isInteractive) lines.prompt();
    }
    return turns.isEnded || (turns.isInterrupted && !isInteractive) ? INTERRUPTED : turns.nFailed > 0 ? 1 : 0;
  } finally {
    stop();
    lines.close();
    if (isInteractive) output.write("\n");
    await turns.dispose();
  }
}

/** The conversation, and the answer that is being written. */
class Turns {
  /** Ctrl-C came while nobody was answering, or twice. */
  isEnded = false;
  /** Ctrl-C stopped the latest answer. */
  isInterrupted = false;
  nFailed = 0;
  readonly #model: Model;
  readonly #begin: () => Chat;
  readonly #terminal: Terminal;
  #chat: Chat;
  #answer: { cancel(): void } | null = null;

  constructor(model: Model, begin: () => Chat, terminal: Terminal) {
    this.#model = model;
    this.#begin = begin;
    this.#terminal = terminal;
    this.#chat = begin();
  }

  /** Sends `message` and streams the answer; a turn that fails is reported and leaves the conversation as it was. */
  async say(message: string, isInteractive: boolean): Promise<void> {
    const { stdout } = this.#terminal;
    this.isInterrupted = false;
    const answer = this.#chat.send(message);
    this.#answer = answer;
    try {
      for await (const piece of answer) stdout.write(modelText(stdout, piece.text));
      stdout.write("\n");
      if (isInteractive || this.isInterrupted) remark(this.#terminal, statistics(this.#model, await answer.result));
    } catch (error) {
      this.nFailed++;
      note(this.#terminal, errorLine(error));
    } finally {
      this.#answer = null;
    }
  }

  async reset(): Promise<void> {
    await this.#chat.dispose();
    this.#chat = this.#begin();
    remark(this.#terminal, "the conversation begins anew");
  }

  interrupt(lines: Interface): void {
    if (this.#answer !== null && !this.isInterrupted) {
      this.isInterrupted = true;
      this.#answer.cancel();
      return;
    }
    if (this.#answer !== null) this.#terminal.exit(INTERRUPTED);
    this.isEnded = true;
    lines.close();
  }

  async dispose(): Promise<void> {
    await this.#chat.dispose();
  }
}
