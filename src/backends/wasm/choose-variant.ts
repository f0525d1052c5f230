/**
 * Chooses the variant by computing and by timing: a variant must give the very bits of `plain`, and what is fastest depends on the CPU and
 * not on what the engine accepts. A relaxed 4-way dot product is one instruction or four. Where there is no relaxed SIMD nothing is timed.
 */
import { i2_s } from "../../quant/i2_s.ts";
import { PANEL_ROWS } from "../../quant/panel.ts";
import { probeFeatures, type WasmFeatures } from "../../wasm-asm/probe.ts";
import { KernelSet } from "./kernels.ts";
import { emitMatmul } from "./matmul.ts";
import { emitTernaryTables, gemmScratchBytes } from "./matmul-ternary.ts";
import { emitQuantize } from "./rms-norm.ts";
import { rowBytes, rowForm } from "./row-form.ts";
import { usesTables, VARIANTS, type Variant } from "./variant.ts";

export interface ChosenVariant {
  readonly variant: Variant;
  /** Why, in words. */
  readonly reason: string;
}

let fastest: ChosenVariant | undefined;

/** `wanted` where it computes right here, else `plain`; without a wish the fastest, timed once per thread (50 ms, of which 16 run kernels). */
export function chooseVariant(wanted?: Variant): ChosenVariant {
  if (wanted === undefined) {
    fastest ??= timeVariants(candidates(probeFeatures()));
    return fastest;
  }
  if (candidates(probeFeatures()).includes(wanted)) return { variant: wanted, reason: "asked for" };
  return { variant: "plain", reason: `${wanted} was asked for, but this runtime does not compute it right` };
}

/** The variants whose instructions passed their self-test. */
export function candidates(features: WasmFeatures): Variant[] {
  const passes: Record<Variant, boolean> = {
    relaxed: features.relaxedDotI32,
    "relaxed-i16": features.relaxedDotI16,
    // the relaxed shuffle is defined for every index that is used; the engine must only know it
    "relaxed-swizzle": features.relaxedDotI32 || features.relaxedDotI16,
    plain: true,
  };
  return VARIANTS.filter((variant) => passes[variant]);
}

/** A trial is a matrix of this shape times tokens one by one, then all at once. */
const N_ROWS = 64;
const N_COLS = 1024;
const N_TOKENS = 16;
/** Coarse clocks tick every 0.1 ms. */
const WINDOW_MS = 1;
/** Engines replace their first code while it runs; the best window is one of the last. */
const N_ROUNDS = 4;
/** `relaxed` is chosen up to this factor behind the fastest: its 8-bit weights are a third faster, a near equal would be noise's choice, and without VNNI
 * it is twice as slow. */
const RELAXED_MARGIN = 1.5;

function timeVariants(variants: readonly Variant[]): ChosenVariant {
  if (variants.length === 1) return { variant: variants[0]!, reason: "this runtime has no relaxed SIMD that computes right" };
  const trials = variants.map((variant) => new Trial(variant));
  const plain = trials.at(-1)!;
  const exact = trials.filter((trial) => trial.isEqual(plain));
  for (let round = 0; round < N_ROUNDS; round++) for (const trial of exact) trial.time();
  const [first] = exact;
  const best = exact.reduce((a, b) => (b.bestMs < a.bestMs ? b : a));
  if (best === first || first!.variant !== "relaxed" || first!.bestMs > RELAXED_MARGIN * best.bestMs)
    return { variant: best.variant, reason: `timed: the fastest of ${exact.length}` };
  return { variant: "relaxed", reason: `timed: nearly the fastest of ${exact.length}, and better at 8-bit weights` };
}

/** One variant's kernels on a small memory of their own. */
class Trial {
  readonly variant: Variant;
  readonly result: Float32Array;
  bestMs = Number.POSITIVE_INFINITY;
  readonly #run: () => void;

  constructor(variant: Variant) {
    this.variant = variant;
    const panel = (usesTables(variant) ? i2_s.tablePanel : undefined) ?? i2_s.panel;
    const forms = [true, false].map((isDecode) => rowForm("int8-row", variant, isDecode));
    const [decodeForm, prefillForm] = [forms[0]!, forms[1]!];
    let nBytes = 0;
    const take = (bytes: number) => {
      const address = nBytes;
      nBytes += 64 * Math.ceil(bytes / 64);
      return address;
    };
    const yStride = 4 * N_ROWS;
    const [xStride, decodeStride, prefillStride] = [4 * N_COLS, rowBytes(decodeForm, N_COLS), rowBytes(prefillForm, N_COLS)];
    const x = take(N_TOKENS * xStride);
    const decodeRows = take(N_TOKENS * decodeStride);
    const prefillRows = take(N_TOKENS * prefillStride);
    const w = take((N_ROWS * N_COLS) / 4);
    const y = take(2 * N_TOKENS * yStride);
    const scratch = take(panel.kind === "ternary" ? gemmScratchBytes(panel, N_COLS) : 0);
    const nPages = Math.ceil(nBytes / 65_536);

    const kernels = new KernelSet(variant, nPages, false);
    const tables = decodeForm === "table-row" ? kernels.shared("tables", emitTernaryTables) : null;
    const [quantizeOne, quantizeMany] = forms.map((form) =>
      kernels.kernel(`quantize.${form}`, (m, name) => emitQuantize(m, name, form, tables)),
    );
    const [matmulOne, matmulMany] = forms.map((form) =>
      kernels.kernel(`matmul.${form}`, (m, name) => emitMatmul(m, name, panel, variant, form)),
    );
    const memory = new WebAssembly.Memory({ initial: nPages, maximum: nPages });
    kernels.instantiate(memory);

    // a fixed pattern without structure; integers whose largest is 127 are rounded to themselves
    const values = new Float32Array(memory.buffer, x, N_TOKENS * N_COLS);
    for (let i = 0; i < values.length; i++) values[i] = i % N_COLS === 0 ? 127 : (Math.imul(i, 0x9e3779b1) >> 24) % 128;
    const data = new Uint8Array((N_ROWS * N_COLS) / 4);
    for (let i = 0; i < data.length; i++) data[i] = (Math.imul(i, 0x85ebca6b) >>> 24) & 0xaa;
    panel.pack({ nRows: N_ROWS, nCols: N_COLS, data, scale: 1 }, new Uint8Array(memory.buffer, w, data.length));
    quantizeOne!.call(0, N_TOKENS, x, xStride, decodeRows, decodeStride, xStride);
    quantizeMany!.call(0, N_TOKENS, x, xStride, prefillRows, prefillStride, xStride);
    this.result = new Float32Array(memory.buffer, y, 2 * N_TOKENS * N_ROWS);
    const nGroups = N_ROWS / PANEL_ROWS;
    const nBlocks = N_COLS / panel.blockColumns;
    const many = y + N_TOKENS * yStride;
    this.#run = () => {
      for (let t = 0; t < N_TOKENS; t++) {
        const row = decodeRows + t * decodeStride;
        matmulOne!.call(0, nGroups, 1, row, decodeStride, w, y + t * yStride, yStride, nBlocks, 1, scratch);
      }
      matmulMany!.call(0, nGroups, N_TOKENS, prefillRows, prefillStride, w, many, yStride, nBlocks, 1, scratch);
    };
    this.#run();
  }

  isEqual(other: Trial): boolean {
    return this.result.every((value, i) => Object.is(value, other.result[i]));
  }

  /** Keeps the best time of a run over windows. */
  time(): void {
    const begin = performance.now();
    let nRuns = 0;
    let elapsed = 0;
    do {
      this.#run();
      nRuns++;
      elapsed = performance.now() - begin;
    } while (elapsed < WINDOW_MS);
    this.bestMs = Math.min(this.bestMs, elapsed / nRuns);
  }
}
