/** Runs the golden cases of the full set, or of the fixtures, on any backend. The rule is the one of the set's README. */
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { memorySource } from "../../src/bytes/memory.ts";
import { SessionCore } from "../../src/engine/session-core.ts";
import { readGguf } from "../../src/gguf/reader.ts";
import { PagePool } from "../../src/kv-cache/page-pool.ts";
import { defineModel } from "../../src/model/model.ts";
import { FileWeightReader } from "../../src/model/weight-reader.ts";

export interface GoldenCase {
  readonly tokens: number[];
  readonly logits: number[];
  readonly logSumExp: number;
  readonly greedy: number[];
  readonly greedyMargins: number[];
}

export interface Golden {
  readonly name: string;
  readonly family: string;
  readonly tolerance: { readonly nmse: number; readonly minMargin: number };
  readonly cases: readonly GoldenCase[];
}

export function readGolden(path: string): Golden {
  return JSON.parse(readFileSync(path, "utf8")) as Golden;
}

/** Σ(x − ref)² / Σ ref² */
export function nmse(x: ArrayLike<number>, ref: ArrayLike<number>): number {
  let error = 0;
  let power = 0;
  for (let i = 0; i < ref.length; i++) {
    error += (x[i]! - ref[i]!) ** 2;
    power += ref[i]! ** 2;
  }
  return error / power;
}

export function argmax(logits: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** A model of `path` on `backend`, without workers: what conformance tests talk to. */
export async function openOn(
  backend: Backend,
  path: string | Uint8Array,
  nCtx: number,
  keep: readonly string[] = [],
  maxTokens = 64,
) {
  const source = memorySource(typeof path === "string" ? new Uint8Array(readFileSync(path)) : path);
  const file = await readGguf(source);
  const { config, program } = defineModel(file);
  const nPages = Math.ceil(nCtx / 64);
  const maxOutputs = maxTokens;
  const loaded = await backend.load(program, new FileWeightReader(source, file), { nPages, maxTokens, maxOutputs, keep });
  const host = { program: loaded, pool: new PagePool(nPages), nCtx, nVocab: config.nVocab, maxTokens, maxOutputs };
  return { config, loaded, session: () => new SessionCore(host) };
}

export const atOnce = async () => {};

/** Checks every case of one golden: NMSE of all logits, and greedy tokens under teacher forcing. Returns the largest NMSE. */
export async function checkGolden(backend: Backend, ggufPath: string, golden: Golden): Promise<number> {
  const nCtx = Math.max(...golden.cases.map((c) => c.tokens.length + c.greedy.length));
  const model = await openOn(backend, ggufPath, nCtx);
  let worst = 0;
  for (const golden1 of golden.cases) {
    const session = model.session();
    const logits = await session.prefill(golden1.tokens, "last", atOnce);
    worst = Math.max(worst, nmse(logits, golden1.logits));
    expect(nmse(logits, golden1.logits), `${golden.name}: NMSE with ${golden1.tokens.length} tokens`).toBeLessThanOrEqual(
      golden.tolerance.nmse,
    );
    let step = logits;
    for (let k = 0; k < golden1.greedy.length; k++) {
      if (golden1.greedyMargins[k]! >= golden.tolerance.minMargin) {
        expect(argmax(step), `${golden.name}: greedy step ${k} after ${golden1.tokens.length} tokens`).toBe(golden1.greedy[k]);
      }
      if (k + 1 < golden1.greedy.length) step = session.decode(golden1.greedy[k]!);
    }
    session.dispose();
  }
  model.loaded.dispose();
  return worst;
}
