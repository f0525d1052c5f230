/** What a comparison found: its record in bench/results/, and the tables of all records in docs/performance.md. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { best, median } from "../src/cli/bench/measure.ts";

export interface Sample {
  readonly best: number;
  readonly median: number;
  readonly all: readonly number[];
}

/** One engine under one number of threads; rates in tokens per second. */
export interface EngineResult {
  readonly engine: string;
  /** Format of the output matrix. */
  readonly head: string;
  readonly threads: number;
  readonly prefill: Sample;
  readonly decode: Sample;
  /** Best of all. */
  readonly loadMs: number;
  /** Bytes of weights that a decode step reads: no KV cache, one row of the embedding. */
  readonly bytesPerToken: number;
  /** bytesPerToken · best decode / best read bandwidth of as many threads. */
  readonly readShare: number;
}

export interface Comparison {
  readonly machine: { readonly name: string; readonly cpu: string; readonly cores: number; readonly memoryBytes: number };
  readonly date: string;
  readonly commit: string;
  readonly command: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly model: string;
  readonly prefillTokens: number;
  readonly decodeTokens: number;
  readonly reps: number;
  /** One-minute load average before each round: what else the machine did. */
  readonly loadAverages: readonly number[];
  /** Bytes per second by number of threads, from WebAssembly; best of all. */
  readonly readBytesPerSecond: Readonly<Record<string, number>>;
  readonly results: readonly EngineResult[];
}

export function sampleOf(all: readonly number[]): Sample {
  return { best: best(all), median: median(all), all };
}

/** Ours over the peer's. `paired`: the median of the rounds' own ratios, which a machine that slows down for a while changes least. */
export function ratios(ours: Sample, peer: Sample): { best: number; median: number; paired: number } {
  return {
    best: ours.best / peer.best,
    median: ours.median / peer.median,
    paired: median(ours.all.map((rate, i) => rate / peer.all[i]!)),
  };
}

const RESULTS = new URL("results/", import.meta.url);
const DOCUMENT = new URL("../docs/performance.md", import.meta.url);
const BEGIN = "<!-- figures: written by `npm run bench:peers` from bench/results -->";
const END = "<!-- end of figures -->";

/** Writes the record of this machine, replacing an older one, and the tables of all. Gives the record's path. */
export function writeComparison(comparison: Comparison): string {
  const path = new URL(`${comparison.machine.name}.json`, RESULTS);
  writeFileSync(path, `${JSON.stringify(comparison, null, 2)}\n`);
  const all = readdirSync(RESULTS)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => JSON.parse(readFileSync(new URL(name, RESULTS), "utf8")) as Comparison);
  const text = readFileSync(DOCUMENT, "utf8");
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`peers: docs/performance.md has lost '${BEGIN}' or '${END}'`);
  writeFileSync(DOCUMENT, `${text.slice(0, begin)}${BEGIN}\n\n${all.map(section).join("\n\n")}\n\n${text.slice(end)}`);
  return path.pathname;
}

/** Markdown of one record. */
export function section(c: Comparison): string {
  const { machine, versions, readBytesPerSecond } = c;
  const bandwidth = Object.entries(readBytesPerSecond).map(([n, speed]) => `${n} × ${(speed / 1e9).toFixed(1)} GB/s`);
  const peer = (threads: number) => c.results.find((r) => r.engine === "llama.cpp" && r.threads === threads);
  const rows = c.results.map((r) => {
    const rival = r.engine === "llama.cpp" ? undefined : peer(r.threads);
    return [
      String(r.threads),
      r.engine,
      r.head,
      shown(r.prefill),
      rival === undefined ? "" : times(ratios(r.prefill, rival.prefill)),
      shown(r.decode),
      rival === undefined ? "" : times(ratios(r.decode, rival.decode)),
      `${Math.round(r.bytesPerToken / 1e6)} MB`,
      `${Math.round(100 * r.readShare)} %`,
    ];
  });
  const heads = [
    "threads",
    "engine",
    "head",
    `prefill ${c.prefillTokens}`,
    "× llama.cpp",
    `decode ${c.decodeTokens}`,
    "× llama.cpp",
    "bytes a token",
    "of read limit",
  ];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const loads = c.loadAverages;
  return [
    `### ${machine.cpu}, ${machine.cores} cores`,
    "",
    `${c.model}; ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(
        ", ",
      )}; commit ${c.commit}; ${c.date}; \`${c.command}\`. Load average during the run: ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}. Memory read from WebAssembly: ${bandwidth.join(", ")}.`,
    "",
    line(heads),
    line(heads.map((_, i) => (i === 1 || i === 2 ? "---" : "---:"))),
    ...rows.map(line),
  ].join("\n");
}

function shown(sample: Sample): string {
  return `${rate(sample.best)} (${rate(sample.median)})`;
}

function rate(value: number): string {
  return value < 1000 ? value.toFixed(1) : Math.round(value).toLocaleString("en-US");
}

function times(ratio: { best: number; median: number; paired: number }): string {
  return `${ratio.best.toFixed(2)} (${ratio.paired.toFixed(2)})`;
}
