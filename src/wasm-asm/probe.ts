/**
 * What the WebAssembly engine at hand can do, found by computing and not by `WebAssembly.validate`: Node 20 accepts relaxed SIMD
 * behind a flag, but its baseline compiler drops the accumulator of the i32 relaxed dot product and doubles the sum; that of
 * Node 24 swaps the operands of the i16 one on a CPU without AVX (`--no-enable-avx`).
 */
import type { FuncBuilder } from "./func-builder.ts";
import { ModuleBuilder } from "./module-builder.ts";
import type { Val } from "./types.ts";

export interface WasmFeatures {
  /** Fixed-width SIMD. */
  readonly simd: boolean;
  /** Both relaxed dot products are exact. */
  readonly relaxedSimd: boolean;
  /** `i32x4.relaxed_dot_i8x16_i7x16_add_s` is exact for i8 × 0..127. */
  readonly relaxedDotI32: boolean;
  /** `i16x8.relaxed_dot_i8x16_i7x16_s` is exact for i8 × 0..127. */
  readonly relaxedDotI16: boolean;
  /** Shared memories with atomics, which other workers may be given (in a page: it is cross-origin isolated). */
  readonly threads: boolean;
}

let cached: WasmFeatures | undefined;

/** The features, probed once (below 5 ms, no exception when one is missing); `override` replaces single answers, for tests. */
export function probeFeatures(override: Partial<WasmFeatures> = {}): WasmFeatures {
  cached ??= probe();
  return { ...cached, ...override };
}

function probe(): WasmFeatures {
  const simd = isTrue(hasSimd);
  const isI32Exact = simd && isTrue(() => isDotExact(4, relaxedDotI32));
  const isI16Exact = simd && isTrue(() => isDotExact(2, relaxedDotI16));
  return {
    simd,
    relaxedSimd: isI32Exact && isI16Exact,
    relaxedDotI32: isI32Exact,
    relaxedDotI16: isI16Exact,
    threads: isTrue(hasThreads),
  };
}

function isTrue(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false; // an engine without the feature throws: CompileError, RangeError, DataCloneError, ReferenceError
  }
}

function instantiate(m: ModuleBuilder): WebAssembly.Exports {
  return new WebAssembly.Instance(new WebAssembly.Module(m.build())).exports;
}

function hasSimd(): boolean {
  const m = new ModuleBuilder();
  m.func("probe", { params: ["i32"], results: ["i32"], export: true }, (f, x) =>
    f.i32x4.extract_lane(f.i32x4.dot_i16x8_s(f.i16x8.splat(x.get()), f.v128.const("i16x8", [1, 2, 3, 4, 5, 6, 7, 8])), 3),
  );
  const run = instantiate(m)["probe"] as (x: number) => number;
  return run(-3) === -45;
}

const N_CASES = 32;
/** One case: i8 values, i7 values, accumulators, expected result; 16 bytes each. */
const CASE_BYTES = 64;
/** Repeats of all cases: enough calls for an engine to swap in optimised code, below 0.1 ms. */
const N_ROUNDS = 64;

/** Emits a dot product of i8 and i7 lanes; `accumulator` emits the load of the third operand. */
export type DotEmitter = (f: FuncBuilder, i8: Val<"v128">, i7: Val<"v128">, accumulator: () => Val<"v128">) => Val<"v128">;

const relaxedDotI32: DotEmitter = (f, i8, i7, accumulator) => f.i32x4.relaxed_dot_i8x16_i7x16_add_s(i8, i7, accumulator());
const relaxedDotI16: DotEmitter = (f, i8, i7) => f.i16x8.relaxed_dot_i8x16_i7x16_s(i8, i7);

/**
 * Compares `dot` with sums made in JavaScript: 4 products per i32 lane plus the accumulator, or 2 products per i16 lane.
 * @throws CompileError if the engine does not know the instruction.
 */
export function isDotExact(nTerms: 2 | 4, dot: DotEmitter): boolean {
  const m = new ModuleBuilder();
  m.memory({ initial: 1, maximum: 1, export: "memory" });
  m.func("differs", { params: ["i32"], results: ["i32"], export: true }, (f, end) => {
    const at = f.local("i32");
    const difference = f.local("v128");
    f.loop((again) => {
      // difference |= dot(a, b, c) ^ expected
      const sum = f.v128.xor(
        dot(f, f.v128.load(at.get()), f.v128.load(at.get(), { offset: 16 }), () => f.v128.load(at.get(), { offset: 32 })),
        f.v128.load(at.get(), { offset: 48 }),
      );
      difference.set(f.v128.or(sum, difference.get()));
      f.br_if(again, f.i32.lt_u(at.tee(f.i32.add(at.get(), f.i32.const(CASE_BYTES))), end.get()));
    });
    return f.v128.any_true(difference.get());
  });
  const { memory, differs } = instantiate(m) as unknown as { memory: WebAssembly.Memory; differs: (end: number) => number };
  writeCases(memory.buffer, nTerms);
  let found = 0;
  for (let round = 0; round < N_ROUNDS; round++) found |= differs(N_CASES * CASE_BYTES);
  return found === 0;
}

const I8_EXTREMES = [-128, 127, -127, 1, 0, -1];
const I7_EXTREMES = [127, 127, 1, 126, 64];

/** The first half of the cases mixes extremes (the first are all -128 and all 127 against 127), the rest is pseudo-random. */
function writeCases(buffer: ArrayBuffer, nTerms: 2 | 4): void {
  const bytes = new Int8Array(buffer);
  const halves = new Int16Array(buffer);
  const words = new Int32Array(buffer);
  let state = 1;
  const random = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' LCG; the high bits are the good ones
    return Math.floor((state / 2 ** 32) * n);
  };
  for (let index = 0; index < N_CASES; index++) {
    const base = index * CASE_BYTES;
    const isExtreme = index < N_CASES / 2;
    for (let lane = 0; lane < 16; lane++) {
      const a = index < 2 ? I8_EXTREMES[index] : isExtreme ? I8_EXTREMES[random(6)] : random(256) - 128;
      const b = index < 2 ? 127 : isExtreme ? I7_EXTREMES[random(5)] : random(128);
      bytes[base + lane] = a as number;
      bytes[base + 16 + lane] = b as number;
    }
    for (let lane = 0; lane < 16 / nTerms; lane++) {
      let sum = 0;
      if (nTerms === 4) {
        sum = random(2 ** 20) - 2 ** 19;
        words[base / 4 + 8 + lane] = sum;
      }
      for (let i = base + nTerms * lane; i < base + nTerms * (lane + 1); i++)
        sum += (bytes[i] as number) * (bytes[i + 16] as number);
      if (nTerms === 4) words[base / 4 + 12 + lane] = sum;
      else halves[base / 2 + 24 + lane] = sum;
    }
  }
}

function hasThreads(): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  // A page that is not isolated can make a shared memory but not hand it to a worker; cloning it fails there in the same way.
  if (!(structuredClone(memory.buffer) instanceof SharedArrayBuffer)) return false;
  const m = new ModuleBuilder();
  m.importMemory("env", "memory", { initial: 1, maximum: 1, shared: true });
  m.func("probe", { results: ["i32"], export: true }, (f) => {
    f.drop(f.i32.atomic.rmw.add(f.i32.const(8), f.i32.const(7)));
    return f.i32.atomic.rmw.add(f.i32.const(8), f.i32.const(1));
  });
  const module = new WebAssembly.Module(m.build());
  const run = new WebAssembly.Instance(module, { env: { memory } }).exports["probe"] as () => number;
  return run() === 7 && new Int32Array(memory.buffer)[2] === 8;
}
