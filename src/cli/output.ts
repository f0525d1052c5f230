/** Where commands write and read: the process's streams, or those of a test. Results go to stdout, everything else to stderr. */
import type { Readable, Writable } from "node:stream";

/** A stream that may be a terminal. */
type Maybe<S> = S & { readonly isTTY?: boolean };

export interface Terminal {
  readonly stdin: Maybe<Readable>;
  readonly stdout: Maybe<Writable>;
  readonly stderr: Maybe<Writable>;
  /** Calls `listener` at every Ctrl-C until what it returns is called; without a listener Ctrl-C ends the program. */
  onInterrupt(listener: () => void): () => void;
  /** Ends the program at once. */
  exit(code: number): void;
}

/** Exit code of a program that Ctrl-C ended: 128 + SIGINT. */
export const INTERRUPTED = 130;

/** The process's own terminal. A reader that goes away (`| head -1`) ends the program quietly. */
export function processTerminal(): Terminal {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      // a full disk: stderr may still be heard
      if (stream === process.stdout) process.stderr.write(`bitnet: the output cannot be written: ${error.message}\n`);
      process.exit(1);
    });
  }
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    onInterrupt(listener) {
      process.on("SIGINT", listener);
      return () => process.off("SIGINT", listener);
    },
    exit: (code) => process.exit(code),
  };
}

/** The first Ctrl-C aborts the signal, a second one ends the program. */
export function interruptSignal(terminal: Terminal): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController();
  const stop = terminal.onInterrupt(() => {
    if (controller.signal.aborted) terminal.exit(INTERRUPTED);
    controller.abort();
  });
  return { signal: controller.signal, stop };
}

/** Prints `value` as one line of JSON. Numbers that JSON does not know become null. */
export function printJson(terminal: Terminal, value: unknown): void {
  terminal.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Prints a line that the reader should not miss. */
export function note(terminal: Terminal, line: string): void {
  terminal.stderr.write(`${oneLine(line)}\n`);
}

/** Prints a line in grey: what is beside the point. */
export function remark(terminal: Terminal, line: string): void {
  terminal.stderr.write(`${dim(terminal.stderr, oneLine(line))}\n`);
}

/** `text` in grey where `stream` is a terminal that may be coloured. */
export function dim(stream: Maybe<Writable>, text: string): string {
  return stream.isTTY && !process.env["NO_COLOR"] ? `\u001b[2m${text}\u001b[22m` : text;
}

/** `text` on one line, without control characters: names in a file and system messages may hold any. */
export function oneLine(text: string): string {
  return withoutControls(text.replace(/\s*[\r\n]+\s*/g, " "));
}

/** Text of a model for `stream`: a terminal gets no control characters, which could be commands to it; a pipe or file gets all. */
export function modelText(stream: Maybe<Writable>, text: string): string {
  return stream.isTTY ? withoutControls(text) : text;
}

function withoutControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for; tab and newline stay
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
}

/** 1234567 → "1,234,567" */
export function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** 1 → "1 tensor", 2 → "2 tensors" */
export function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Bytes in a unit that keeps three digits. */
export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  const exponent = Math.min(3, Math.floor(Math.log2(value) / 10));
  const scaled = value / 1024 ** exponent;
  return `${scaled < 100 ? scaled.toFixed(1) : grouped(scaled)} ${["B", "KiB", "MiB", "GiB"][exponent]}`;
}
