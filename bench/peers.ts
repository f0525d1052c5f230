/**
 * Ours against native llama.cpp on the same weights, alternating in one run: `npm run bench:peers -- --install`.
 *
 * Both get the same random ternary weights of BitNet 2B-4T's shape: ours as I2_S, llama.cpp, which has no I2_S, as TQ2_0. The output
 * matrix is F16 in both files; ours is measured with its default, a Q8_0 copy, and with the F16 one that llama.cpp uses.
 *
 * llama.cpp comes as `node-llama-cpp`, which is no dependency: `--install` puts it into a folder outside the repository (`--peers DIR`,
 * default bitnet-peers in the system's folder for temporary files), or do so by hand: without it the program says the command.
 *
 * A round opens, warms up, measures and closes every engine under every number of threads, one after the other, so that all of them
 * meet the same weather; `--reps` rounds are run. One model is loaded at a time. The model files (2.4 GB) are temporary; `--models DIR`
 * keeps them. Writes bench/results/<machine>.json and the tables in docs/performance.md, but not for `--shape stories`, which is a trial.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readBandwidth } from "../src/cli/bench/bandwidth.ts";
import { type Lengths, measureOnce, type Rates, warmUp } from "../src/cli/bench/measure.ts";
import { writeSynthetic } from "../src/cli/bench/synthetic-file.ts";
import { inspect, LmError, loadModel } from "../src/index.ts";
import { syntheticModel } from "../src/synthetic/models.ts";
import { install, installCommand, isInstalled, type LlamaPeer, openLlama } from "./llama-peer.ts";
import { type Comparison, type EngineResult, sampleOf, section, writeComparison } from "./results.ts";

const SEED = 1;
/** Enough for every kernel to run once: code is compiled, pages are touched. */
const WARM_UP: Lengths = { nPrefill: 16, nDecode: 4 };

interface Contestant {
  readonly engine: string;
  readonly head: string;
  open(threads: number, lengths: Lengths): Promise<Opened>;
}

interface Opened {
  readonly loadMs: number;
  readonly bytesPerToken: number;
  measure(lengths: Lengths): Promise<Rates>;
  close(): Promise<void>;
}

interface Files {
  readonly i2s: string;
  readonly tq2: string;
}

function ours(path: string, head: "auto" | "f16"): Contestant {
  return {
    engine: "bitnet-wasm",
    head: head === "f16" ? "F16" : "Q8_0 copy",
    async open(threads, lengths) {
      const nCtx = lengths.nPrefill + lengths.nDecode + 1;
      const model = await loadModel(path, { threads, head, nCtx });
      if (model.info.threads !== threads) throw new Error(`peers: asked for ${threads} threads, got ${model.info.threads}`);
      await warmUp(model, WARM_UP);
      return {
        loadMs: model.info.loadMs,
        // the embedding of this shape stays in its file: the plan holds what a step reads
        bytesPerToken: model.plan.weightsBytes,
        measure: (wanted) => measureOnce(model, wanted),
        close: () => model.dispose(),
      };
    },
  };
}

function theirs(peer: LlamaPeer, path: string, nVocab: number, bytesPerToken: number): Contestant {
  return {
    engine: "llama.cpp",
    head: "F16",
    async open(threads, lengths) {
      const model = await peer.open(path, threads, lengths);
      await model.measure(WARM_UP, nVocab);
      return {
        loadMs: model.loadMs,
        bytesPerToken,
        measure: (wanted) => model.measure(wanted, nVocab),
        close: () => model.close(),
      };
    },
  };
}

/** The sum of all tensors: the head is the tied embedding, and is read whole. */
async function tensorBytesOf(path: string): Promise<number> {
  return (await inspect(path)).tensors.reduce((sum, { bytes }) => sum + bytes, 0);
}

interface Plan {
  readonly threadCounts: readonly number[];
  readonly lengths: Lengths;
  readonly nReps: number;
}

async function compare(contestants: readonly Contestant[], { threadCounts, lengths, nReps }: Plan) {
  const rates = new Map<string, Rates[]>();
  const opened = new Map<string, { loadMs: number; bytesPerToken: number }>();
  const readBytesPerSecond: Record<string, number> = {};
  const loadAverages: number[] = [];
  const keyOf = ({ engine, head }: Contestant, threads: number) => `${engine} ${head} ${threads}`;
  for (let rep = 0; rep < nReps; rep++) {
    loadAverages.push(loadavg()[0]!);
    say(`round ${rep + 1} of ${nReps}, load average ${loadavg()[0]!.toFixed(1)}`);
    for (const threads of threadCounts) {
      readBytesPerSecond[threads] = Math.max(readBytesPerSecond[threads] ?? 0, await readBandwidth(threads));
      // each round begins with another one
      for (const contestant of [
        ...contestants.slice(rep % contestants.length),
        ...contestants.slice(0, rep % contestants.length),
      ]) {
        const key = keyOf(contestant, threads);
        const model = await contestant.open(threads, lengths);
        try {
          const rate = await model.measure(lengths);
          rates.set(key, [...(rates.get(key) ?? []), rate]);
          const loadMs = Math.min(model.loadMs, opened.get(key)?.loadMs ?? Number.POSITIVE_INFINITY);
          opened.set(key, { loadMs, bytesPerToken: model.bytesPerToken });
          say(
            `  ${key.padEnd(24)} prefill ${rate.prefill.toFixed(1)}, decode ${rate.decode.toFixed(1)}, load ${model.loadMs.toFixed(0)} ms`,
          );
        } finally {
          await model.close();
        }
      }
    }
  }
  const results = threadCounts.flatMap((threads) =>
    contestants.map((contestant): EngineResult => {
      const key = keyOf(contestant, threads);
      const decode = sampleOf(rates.get(key)!.map((rate) => rate.decode));
      const { loadMs, bytesPerToken } = opened.get(key)!;
      return {
        engine: contestant.engine,
        head: contestant.head,
        threads,
        prefill: sampleOf(rates.get(key)!.map((rate) => rate.prefill)),
        decode,
        loadMs,
        bytesPerToken,
        readShare: (bytesPerToken * decode.best) / readBytesPerSecond[threads]!,
      };
    }),
  );
  return { results, readBytesPerSecond, loadAverages };
}

async function makeFiles(shape: string, folder: string): Promise<Files> {
  const files = { i2s: join(folder, `${shape}-i2_s.gguf`), tq2: join(folder, `${shape}-tq2_0.gguf`) };
  for (const [type, path] of [
    ["i2_s", files.i2s],
    ["tq2_0", files.tq2],
  ] as const) {
    if (existsSync(path)) continue;
    say(`making ${path}`);
    await writeSynthetic(syntheticModel(`${shape}:${type}`), SEED, path);
  }
  return files;
}

function machine(): Comparison["machine"] {
  const cpu = cpus()[0]?.model.trim() ?? "unknown CPU";
  const cores = cpus().length;
  const slug = `${cpu.replace(/\((r|tm)\)/gi, "")} ${cores} cores`.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return { name: slug, cpu, cores, memoryBytes: totalmem() };
}

const SOURCES = ["src", "package.json"];

/** The commit, with a plus where what is measured differs from it. */
function commit(): string {
  return `${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain", "--", ...SOURCES) === "" ? "" : "+"}`;
}

/** Changes with any change of what is measured, committed or not: every load reads the sources anew. */
function fingerprint(): string {
  const hash = createHash("sha256");
  const folder = join(import.meta.dirname, "..", "src");
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    if (name.endsWith(".ts") && !name.endsWith(".test.ts")) hash.update(name).update(readFileSync(join(folder, name)));
  }
  return hash.digest("hex");
}

function git(...args: string[]): string {
  return execFileSync("git", args, { cwd: join(import.meta.dirname, ".."), encoding: "utf8" }).trim();
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function counts(text: string, name: string): number[] {
  const values = text.split(",").map(Number);
  if (values.some((value) => !Number.isInteger(value) || value < 1))
    throw new Error(`peers: ${name} is '${text}'; must be whole numbers`);
  return values;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      shape: { type: "string", default: "bitnet-2b-4t" },
      threads: { type: "string", default: cpus().length > 1 ? "1,2" : "1" },
      pp: { type: "string", default: "128" },
      tg: { type: "string", default: "32" },
      reps: { type: "string", default: "5" },
      peers: { type: "string", default: join(tmpdir(), "bitnet-peers") },
      models: { type: "string" },
      install: { type: "boolean", default: false },
    },
  });
  if (!isInstalled(values.peers)) {
    if (!values.install) {
      say(
        `peers: node-llama-cpp is not in ${values.peers}. Add --install, or install it there by hand:\n  ${installCommand(values.peers).join(" ")}`,
      );
      process.exitCode = 1;
      return;
    }
    install(values.peers);
  }
  const [nPrefill, nDecode, nReps] = [values.pp, values.tg, values.reps].map((text) => counts(text, "--pp, --tg or --reps")[0]!);
  const plan: Plan = {
    threadCounts: counts(values.threads, "--threads"),
    lengths: { nPrefill: nPrefill!, nDecode: nDecode! },
    nReps: nReps!,
  };
  const folder = values.models ?? mkdtempSync(join(tmpdir(), "bitnet-bench-"));
  const remove = () => {
    if (values.models === undefined) rmSync(folder, { recursive: true, force: true });
  };
  process.on("exit", remove);
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(130));
  mkdirSync(folder, { recursive: true });
  const files = await makeFiles(values.shape, folder);
  const peer = await openLlama(values.peers);
  const { nVocab } = syntheticModel(values.shape).shape;
  const contestants = [
    ours(files.i2s, "auto"),
    ours(files.i2s, "f16"),
    theirs(peer, files.tq2, nVocab, await tensorBytesOf(files.tq2)),
  ];
  const before = fingerprint();
  const measured = await compare(contestants, plan);
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  const comparison: Comparison = {
    machine: machine(),
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    command: ["npm run bench:peers --", ...process.argv.slice(2)].join(" "),
    versions: { "bitnet-wasm": version, node: process.versions.node, ...peer.versions },
    model: `${values.shape} synthetic, seed ${SEED}`,
    prefillTokens: nPrefill!,
    decodeTokens: nDecode!,
    reps: nReps!,
    ...measured,
  };
  await peer.dispose();
  process.stdout.write(`${section(comparison)}\n`);
  if (values.shape === "stories") return;
  if (fingerprint() !== before)
    throw new Error("peers: the sources changed during the run, so its figures mean nothing; not written");
  say(`written: ${writeComparison(comparison)} and docs/performance.md`);
}

try {
  await main();
} catch (error) {
  say(error instanceof LmError ? `peers: ${error.message}` : String(error instanceof Error ? error.stack : error));
  process.exitCode = 1;
}
