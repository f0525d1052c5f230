/**
 * Native llama.cpp as a peer, by `node-llama-cpp` and its prebuilt CPU library. It is no dependency: it lies in a folder outside the
 * repository, and what is used of it is typed here.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { benchIds, type Lengths, type Rates } from "../src/cli/bench/measure.ts";

const VERSION = "~3.22.1";

/** The parts of node-llama-cpp's API that are used. */
interface NodeLlamaCpp {
  getLlama(options: object): Promise<Llama>;
}
interface Llama {
  readonly llamaCppRelease: { readonly release: string };
  readonly systemInfo: string;
  loadModel(options: { modelPath: string }): Promise<LlamaModel>;
  dispose(): Promise<void>;
}
interface LlamaModel {
  createContext(options: object): Promise<LlamaContext>;
  dispose(): Promise<void>;
}
interface LlamaContext {
  getSequence(): LlamaSequence;
  dispose(): Promise<void>;
}
interface LlamaSequence {
  clearHistory(): Promise<void>;
  evaluate(ids: readonly number[], options: object): AsyncGenerator<number, unknown, undefined>;
}

export interface LlamaPeer {
  /** Of node-llama-cpp and llama.cpp. */
  readonly versions: Readonly<Record<string, string>>;
  readonly systemInfo: string;
  open(path: string, threads: number, lengths: Lengths): Promise<OpenLlama>;
  dispose(): Promise<void>;
}

export interface OpenLlama {
  readonly loadMs: number;
  measure(lengths: Lengths, nVocab: number): Promise<Rates>;
  close(): Promise<void>;
}

/** What to type so that the peer is found in `folder`. */
export function installCommand(folder: string): string[] {
  // the prebuilt library of this platform alone; the package's other ones are for GPUs and take 0.7 GB
  const library = process.platform === "linux" ? [`@node-llama-cpp/linux-${process.arch}@${VERSION}`, "--omit=optional"] : [];
  return ["npm", "install", "--prefix", folder, "--ignore-scripts", `node-llama-cpp@${VERSION}`, ...library];
}

export function isInstalled(folder: string): boolean {
  return existsSync(packagePath(folder, "package.json"));
}

/** @throws Error where npm fails */
export function install(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const [command, ...args] = installCommand(folder) as [string, ...string[]];
  const { status } = spawnSync(command, args, { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) throw new Error(`peers: '${[command, ...args].join(" ")}' failed`);
}

export async function openLlama(folder: string): Promise<LlamaPeer> {
  const { getLlama } = (await import(pathToFileURL(packagePath(folder, "dist", "index.js")).href)) as NodeLlamaCpp;
  const { version } = JSON.parse(readFileSync(packagePath(folder, "package.json"), "utf8")) as { version: string };
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    logLevel: "error",
    maxThreads: 0,
  });
  return {
    versions: { "node-llama-cpp": version, "llama.cpp": llama.llamaCppRelease.release },
    systemInfo: llama.systemInfo.trim(),
    open: (path, threads, lengths) => openModel(llama, path, threads, lengths),
    dispose: () => llama.dispose(),
  };
}

async function openModel(llama: Llama, modelPath: string, threads: number, lengths: Lengths): Promise<OpenLlama> {
  const begin = performance.now();
  const model = await llama.loadModel({ modelPath });
  const contextSize = lengths.nPrefill + lengths.nDecode + 1;
  const context = await model.createContext({ contextSize, batchSize: contextSize, threads: { ideal: threads, min: threads } });
  const loadMs = performance.now() - begin;
  const sequence = context.getSequence();
  return {
    loadMs,
    measure: (wanted, nVocab) => measureOnce(sequence, wanted, nVocab),
    async close() {
      await context.dispose();
      await model.dispose();
    },
  };
}

/** As ours: the first token comes out of the prefill, every other one out of a step. */
async function measureOnce(sequence: LlamaSequence, { nPrefill, nDecode }: Lengths, nVocab: number): Promise<Rates> {
  await sequence.clearHistory();
  const tokens = sequence.evaluate(benchIds(nPrefill, nVocab), { temperature: 0, yieldEogToken: true });
  const begin = performance.now();
  await nextOf(tokens);
  const prefilled = performance.now();
  for (let i = 0; i < nDecode; i++) await nextOf(tokens);
  const end = performance.now();
  await tokens.return(undefined);
  return { prefill: (1000 * nPrefill) / (prefilled - begin), decode: (1000 * nDecode) / (end - prefilled) };
}

async function nextOf(tokens: AsyncGenerator<number, unknown, undefined>): Promise<void> {
  if ((await tokens.next()).done) throw new Error("peers: llama.cpp ended the text; it was told not to");
}

function packagePath(folder: string, ...parts: string[]): string {
  return join(folder, "node_modules", "node-llama-cpp", ...parts);
}
