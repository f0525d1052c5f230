/**
 * How fast WebAssembly reads memory in order: the ceiling of decoding, which reads every weight once per token. Emits the kernel; whoever
 * measures brings the threads and the clock.
 */
import { ModuleBuilder } from "../wasm-asm/module-builder.ts";

/** Bytes that one call reads; a range is read in whole calls. Short, so that an engine swaps in optimised code early. */
export const CALL_BYTES = 2 ** 20;
const WASM_PAGE = 65_536;
const N_SUMS = 8;
const VECTOR = 16;

/**
 * A module with a memory of `nBytes` (rounded up to whole calls), exported as `memory`, and `read(address)`, which xors CALL_BYTES from
 * there and returns a value that depends on all of them.
 */
export function readKernel(nBytes: number): { readonly wasm: Uint8Array; readonly nBytes: number } {
  const rounded = CALL_BYTES * Math.max(1, Math.ceil(nBytes / CALL_BYTES));
  const nPages = rounded / WASM_PAGE;
  const m = new ModuleBuilder();
  m.memory({ initial: nPages, maximum: nPages, export: "memory" });
  m.func("read", { params: ["i32"], results: ["i32"], export: true }, (f, at) => {
    const sums = Array.from({ length: N_SUMS }, () => f.local("v128"));
    const end = f.local("i32", f.i32.add(at.get(), f.i32.const(CALL_BYTES)));
    f.loop((again) => {
      // sums[i] ^= memory[at + 16 i]
      for (const [i, sum] of sums.entries()) sum.set(f.v128.xor(f.v128.load(at.get(), { offset: VECTOR * i }), sum.get()));
      f.br_if(again, f.i32.lt_u(at.tee(f.i32.add(at.get(), f.i32.const(VECTOR * N_SUMS))), end.get()));
    });
    const [first, ...others] = sums;
    for (const sum of others) first!.set(f.v128.xor(first!.get(), sum.get()));
    const lane = (i: number) => f.i32x4.extract_lane(first!.get(), i);
    return f.i32.xor(f.i32.xor(lane(0), lane(1)), f.i32.xor(lane(2), lane(3)));
  });
  return { wasm: m.build(), nBytes: rounded };
}
