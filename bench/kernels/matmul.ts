/**
 * Speed of the matmul kernels on one thread: `node bench/kernels/matmul.ts [filter]`, where the filter is part of a line's beginning, e.g.
 * `"I2_S gemv"`. For each format, variant and shape: multiply-adds per second and weight bytes per second, best and median, beside the
 * machine's peak of the relaxed dot product and its read bandwidth, measured in the same rounds. Machines differ threefold and are shared:
 * compare lines of one run, and ratios between runs.
 *
 * `cache`: one matrix again and again. `walk`: as many matrices as fill 400 MB, in order, as decoding does.
 */
import { parseArgs } from "node:util";
import { candidates } from "../../src/backends/wasm/choose-variant.ts";
import { type Kernel, KernelSet } from "../../src/backends/wasm/kernels.ts";
import { emitMatmul } from "../../src/backends/wasm/matmul.ts";
import { gemmScratchBytes } from "../../src/backends/wasm/matmul-ternary.ts";
import { rowBytes, rowForm } from "../../src/backends/wasm/row-form.ts";
import { panelFor, type Variant } from "../../src/backends/wasm/variant.ts";
import type { FormatName } from "../../src/quant/geometry.ts";
import { PANEL_ROWS } from "../../src/quant/panel.ts";
import { quantFormat } from "../../src/quant/registry.ts";
import type { ModuleBuilder } from "../../src/wasm-asm/module-builder.ts";
import { probeFeatures } from "../../src/wasm-asm/probe.ts";

const N_COLS = 2560;
const ROWS = [640, 2560, 6912];
const GEMM_TOKENS = 64;
const WALK_BYTES = 400e6;
const N_ROUNDS = 9;
/** A window of a case that stays in cache. */
const WINDOW_MS = 6;

const X = 2 ** 20;
const Y = 16 * 2 ** 20;
const SCRATCH = 24 * 2 ** 20;
const W = 32 * 2 ** 20;
const N_PAGES = Math.ceil((W + 1.2 * WALK_BYTES) / 65_536);

interface Case {
  readonly name: string;
  /** Does the work `n` times. */
  run(n: number): void;
  /** Multiply-adds and bytes of weights of one time. */
  readonly macs: number;
  readonly bytes: number;
  readonly times: number[];
  repeats: number;
}

const memory = new WebAssembly.Memory({ initial: N_PAGES, maximum: N_PAGES });
// codes 0 and 1, small normal halves, floats of about 1e-28: nothing subnormal, which would be slow
new Uint8Array(memory.buffer).fill(0x11);

function newCase(name: string, macs: number, bytes: number, run: Case["run"]): Case {
  return { name, macs, bytes, run, times: [], repeats: 1 };
}

function machineCases(): Case[] {
  const kernels = new KernelSet("relaxed", N_PAGES, false);
  const canDot = probeFeatures().relaxedDotI32;
  const dots = canDot ? kernels.kernel("peak", emitPeak) : null;
  const read = kernels.kernel("read", emitRead);
  kernels.instantiate(memory);
  const nDots = 20_000;
  const cases = [newCase("machine read bandwidth", 0, WALK_BYTES, (n) => repeat(n, () => read.call(W, WALK_BYTES)))];
  if (dots !== null) {
    cases.push(newCase("machine relaxed dot", nDots * PEAK_SUMS * 16, 0, (n) => repeat(n, () => dots.call(nDots))));
  }
  return cases;
}

/** Enough independent sums for a latency of 5 and two dots per cycle. */
const PEAK_SUMS = 12;

function emitPeak(m: ModuleBuilder, name: string): void {
  m.func(name, { params: ["i32"], results: ["i32"], export: true }, (f, n) => {
    const sums = Array.from({ length: PEAK_SUMS }, () => f.local("v128"));
    const [x, w] = [f.local("v128", f.i32x4.splat(n.get())), f.local("v128", f.v128.const("i8x16", 2))];
    f.loop((again) => {
      for (const sum of sums) sum.set(f.i32x4.relaxed_dot_i8x16_i7x16_add_s(x.get(), w.get(), sum.get()));
      f.br_if(again, n.tee(f.i32.sub(n.get(), f.i32.const(1))));
    });
    const total = f.local("v128");
    for (const sum of sums) total.set(f.v128.xor(total.get(), sum.get()));
    return f.i32x4.extract_lane(total.get(), 0);
  });
}

function emitRead(m: ModuleBuilder, name: string): void {
  m.func(name, { params: ["i32", "i32"], results: ["i32"], export: true }, (f, at, nBytes) => {
    const sums = Array.from({ length: 8 }, () => f.local("v128"));
    const end = f.local("i32", f.i32.add(at.get(), nBytes.get()));
    f.loop((again) => {
      sums.forEach((sum, i) => sum.set(f.v128.or(f.v128.load(at.get(), { offset: 16 * i }), sum.get())));
      f.br_if(again, f.i32.lt_u(at.tee(f.i32.add(at.get(), f.i32.const(128))), end.get()));
    });
    const total = f.local("v128");
    for (const sum of sums) total.set(f.v128.or(total.get(), sum.get()));
    return f.i32x4.extract_lane(total.get(), 0);
  });
}

function matmulCases(name: FormatName, variant: Variant, nRows: number): Case[] {
  const weight = { name: "w", format: name, nRows, nCols: N_COLS };
  const panel = panelFor(weight, variant);
  const { activation } = quantFormat(name, "a benchmark");
  const kernels = new KernelSet(variant, N_PAGES, false);
  const [one, many] = ([true, false] as const).map((isDecode) => {
    const form = rowForm(activation, variant, isDecode);
    const kernel = kernels.kernel(`matmul.${form}`, (m, key) => emitMatmul(m, key, panel, variant, form));
    return { kernel, xStride: rowBytes(form, N_COLS) };
  }) as [MatmulKernel, MatmulKernel];
  kernels.instantiate(memory);
  if (panel.kind === "ternary" && gemmScratchBytes(panel, N_COLS) > W - SCRATCH) throw new Error("bench: scratch is too small");
  const nBytes = Math.ceil(nRows / panel.rows) * (N_COLS / panel.blockColumns) * panel.blockBytes;
  const nMatrices = Math.ceil(WALK_BYTES / nBytes);
  const call = ({ kernel, xStride }: MatmulKernel, nTokens: number, matrix: number) =>
    kernel.call(
      0,
      Math.ceil(nRows / PANEL_ROWS),
      nTokens,
      X,
      xStride,
      W + matrix * nBytes,
      Y,
      4 * nRows,
      N_COLS / panel.blockColumns,
      1,
      SCRATCH,
    );
  const macs = nRows * N_COLS;
  const label = (what: string) => `${name} ${what} ${String(nRows).padStart(4)} ${variant}`;
  return [
    newCase(label("gemv cache"), macs, nBytes, (n) => repeat(n, () => call(one, 1, 0))),
    newCase(label("gemv walk "), macs * nMatrices, nBytes * nMatrices, (n) =>
      repeat(n, () => {
        for (let matrix = 0; matrix < nMatrices; matrix++) call(one, 1, matrix);
      }),
    ),
    newCase(label(`gemm × ${GEMM_TOKENS}`), macs * GEMM_TOKENS, nBytes, (n) => repeat(n, () => call(many, GEMM_TOKENS, 0))),
  ];
}

interface MatmulKernel {
  readonly kernel: Kernel;
  readonly xStride: number;
}

function repeat(n: number, work: () => void): void {
  for (let i = 0; i < n; i++) work();
}

function timeOnce(testCase: Case): number {
  const begin = performance.now();
  testCase.run(testCase.repeats);
  return (performance.now() - begin) / testCase.repeats;
}

/** Units are reached by every case in every round, so that what else the machine does meets all alike. */
function measure(cases: readonly Case[]): void {
  for (const testCase of cases) {
    // engines replace their first code after a while
    for (let i = 0; i < 3; i++) testCase.repeats = Math.max(1, Math.round(WINDOW_MS / timeOnce(testCase)));
  }
  for (let round = 0; round < N_ROUNDS; round++) for (const testCase of cases) testCase.times.push(timeOnce(testCase));
}

function print({ name, macs, bytes, times }: Case): void {
  times.sort((a, b) => a - b);
  const rate = (amount: number) =>
    amount === 0
      ? "".padStart(15)
      : [times[0]!, times[times.length >> 1]!].map((ms) => (amount / ms / 1e6).toFixed(1).padStart(7)).join(" ");
  console.log(`${name.padEnd(40)} ${rate(macs)} ${rate(bytes)}`);
}

const { positionals } = parseArgs({ allowPositionals: true });
const filter = positionals[0] ?? "";
const variants = candidates(probeFeatures());
const formats: readonly (readonly [FormatName, readonly Variant[]])[] = [
  ["I2_S", variants],
  // the other variants multiply as `plain` does
  ["Q8_0", variants.filter((variant) => variant === "relaxed" || variant === "plain")],
  ["F16", ["plain"]],
  ["F32", ["plain"]],
];
const matmuls = formats.flatMap(([name, of]) => ROWS.flatMap((nRows) => of.flatMap((v) => matmulCases(name, v, nRows))));
const cases = [...machineCases(), ...matmuls.filter(({ name }) => name.startsWith(filter))];
measure(cases);
console.log(`${"".padEnd(40)} multiply-adds/s   weights read`);
console.log(`K = ${N_COLS}, Node ${process.version}`.padEnd(40), "10⁹ best median  GB/s best median");
for (const testCase of cases) print(testCase);
