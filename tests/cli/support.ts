/** What the tests of the command line share: a terminal in memory, processes, and variants of the stories model. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { memorySource } from "../../src/bytes/memory.ts";
import type { Terminal } from "../../src/cli/output.ts";
import { main } from "../../src/cli/program.ts";
import { readGguf } from "../../src/gguf/reader.ts";
import { type GgufWriteEntry, type GgufWriteTensor, writeGguf } from "../../src/gguf/writer.ts";

export const STORIES = fileURLToPath(new URL("../../models/stories-4m-i2_s.gguf", import.meta.url));
/** The program, unbuilt. */
export const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in this process; `stdin` is what it can read. */
export async function call(args: readonly string[], stdin = ""): Promise<Outcome> {
  const terminal = memoryTerminal(Readable.from([stdin]));
  const code = await main(args, terminal);
  return { code, stdout: terminal.out(), stderr: terminal.err() };
}

export interface MemoryTerminal extends Terminal {
  out(): string;
  err(): string;
  /** Presses Ctrl-C. */
  interrupt(): void;
  /** Codes of `exit`. */
  readonly exits: number[];
}

/** A terminal in memory; `onWrite` sees what goes to stdout. */
export function memoryTerminal(
  stdin: Readable = new PassThrough().end(),
  onWrite: (text: string) => void = () => {},
): MemoryTerminal {
  const listeners = new Set<() => void>();
  const texts = { out: "", err: "" };
  const sink = (name: "out" | "err") =>
    new Writable({
      decodeStrings: false,
      write(chunk: string, _encoding, done) {
        texts[name] += chunk;
        if (name === "out") onWrite(chunk);
        done();
      },
    });
  const exits: number[] = [];
  return {
    stdin,
    stdout: sink("out"),
    stderr: sink("err"),
    onInterrupt(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    exit: (code) => void exits.push(code),
    out: () => texts.out,
    err: () => texts.err,
    interrupt: () => {
      for (const listener of [...listeners]) listener();
    },
    exits,
  };
}

export interface Running {
  readonly outcome: Promise<Outcome>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when stdout has something to read; false where it ends without. */
  readonly firstOutput: Promise<boolean>;
  closeStdout(): void;
}

/** Starts the program in a process of its own; it has 30 s, then it counts as hanging. */
export function start(
  args: readonly string[],
  options: { readonly stdin?: string; readonly command?: readonly string[] } = {},
): Running {
  const [file, ...before] = options.command ?? [process.execPath, MAIN];
  const child = spawn(file!, [...before, ...args], { stdio: "pipe", timeout: 30_000, killSignal: "SIGKILL" });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  if (options.stdin !== undefined) child.stdin.end(options.stdin);
  const firstOutput = new Promise<boolean>((resolve) => {
    child.stdout.once("data", () => resolve(true));
    child.stdout.once("close", () => resolve(false));
  });
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (signal === "SIGKILL") reject(new Error(`the program hung; it wrote: ${stdout}${stderr}`));
      else resolve({ code, stdout, stderr });
    });
  });
  return { outcome, firstOutput, kill: (signal) => child.kill(signal), closeStdout: () => child.stdout.destroy() };
}

/** The stories model with other keys or tensors. */
export async function editedStories(edit: {
  readonly entries?: (entries: readonly GgufWriteEntry[]) => GgufWriteEntry[];
  readonly tensor?: (tensor: GgufWriteTensor) => GgufWriteTensor;
}): Promise<Uint8Array> {
  const bytes = new Uint8Array(readFileSync(STORIES));
  const file = await readGguf(memorySource(bytes));
  const entries = file.metadata.entries.map(({ key, type, elementType, value }) => ({ key, type, elementType, value }));
  const tensors = file.tensors.map(
    (tensor): GgufWriteTensor => ({
      name: tensor.name,
      shape: tensor.shape,
      format: tensor.format,
      data: bytes.slice(tensor.byteOffset, tensor.byteOffset + tensor.nBytes),
    }),
  );
  return writeGguf({ metadata: edit.entries?.(entries) ?? entries, tensors: tensors.map(edit.tensor ?? ((tensor) => tensor)) });
}

/** Sets one string key. */
export function withKey(key: string, value: string): (entries: readonly GgufWriteEntry[]) => GgufWriteEntry[] {
  return (entries) => [...entries.filter((entry) => entry.key !== key), { key, type: "string", value }];
}

/** A folder of this run that `dispose` takes away. */
export function temporaryFolder(): {
  path(name: string): string;
  write(name: string, content: string | Uint8Array): string;
  dispose(): void;
} {
  const folder = mkdtempSync(join(tmpdir(), "bitnet-cli-"));
  const path = (name: string) => join(folder, name);
  return {
    path,
    write(name, content) {
      writeFileSync(path(name), content);
      return path(name);
    },
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
}
