/**
 * What threads wait on, in shared memory: a control block, and functions that spin first and then sleep. A spin is bounded, because two
 * spinning threads on one core would keep each other from working; a sleep is bounded, so that a dead thread becomes an error.
 *
 * Control block (i32): 0 step word · 1 barrier arrivals · 2 barrier generation · 3 nTokens · 4 nOutputs · 5 set where K or V was
 * not finite · 16… one chunk counter per op.
 */
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import type { Val } from "../../wasm-asm/types.ts";

export const CONTROL = { step: 0, arrivals: 1, generation: 2, nTokens: 3, nOutputs: 4, fault: 5, counters: 16 } as const;

/** What a new step word asks helpers to do. */
export const COMMAND = { decode: 0, prefill: 1, stop: 2 } as const;
export type Command = (typeof COMMAND)[keyof typeof COMMAND];

const COMMAND_BITS = 2;
const THREAD_BITS = 10;
/** Most threads that a step word can name. */
export const MAX_THREADS = 2 ** THREAD_BITS - 1;

/** The word behind `previous`. */
export function nextStepWord(previous: number, command: Command, nActive: number): number {
  const counter = (previous >>> (COMMAND_BITS + THREAD_BITS)) + 1;
  return (counter << (COMMAND_BITS + THREAD_BITS)) | (nActive << COMMAND_BITS) | command;
}

export function readStepWord(word: number): { command: Command; nActive: number } {
  return { command: (word & (2 ** COMMAND_BITS - 1)) as Command, nActive: (word >>> COMMAND_BITS) & MAX_THREADS };
}

export function controlBytes(nOps: number): number {
  return 4 * (CONTROL.counters + nOps);
}

/** About 100 µs: longer than any gap between two stages, shorter than a scheduler's time slice. */
export const SPINS = 20_000;
/** A sleep looks up this often, in ns, and gives up after so many. */
const SLEEP_NS = 1_000_000_000n;
const MAX_SLEEPS = 20;

/** Waits while the i32 at `address` is `old`: 0 when it changed, 1 when `maxSleeps` seconds passed (0: no limit). */
function emitWaitChange(
  f: FuncBuilder,
  address: Local<"i32">,
  old: Local<"i32">,
  spins: Local<"i32">,
  maxSleeps: number,
): Val<"i32"> {
  const left = f.local("i32", spins.get());
  const sleeps = f.local("i32", f.i32.const(0));
  return f.block("i32", (done) => {
    f.loop((again) => {
      f.drop(f.br_if(done, f.i32.const(0), f.i32.ne(f.i32.atomic.load(address.get()), old.get())));
      left.set(f.i32.sub(left.get(), f.i32.const(1)));
      f.br_if(again, f.i32.gt_s(left.get(), f.i32.const(0)));
    });
    f.loop((again) => {
      f.drop(f.memory.atomic.wait32(address.get(), old.get(), f.i64.const(SLEEP_NS)));
      f.drop(f.br_if(done, f.i32.const(0), f.i32.ne(f.i32.atomic.load(address.get()), old.get())));
      sleeps.set(f.i32.add(sleeps.get(), f.i32.const(1)));
      if (maxSleeps === 0) f.br(again);
      else f.br_if(again, f.i32.lt_u(sleeps.get(), f.i32.const(maxSleeps)));
    });
    return f.i32.const(1);
  });
}

/** Exports `barrier(control, nThreads, spins) → 0, or 1 when others did not come`. */
export function emitBarrier(m: ModuleBuilder, name: string): void {
  m.func(name, { params: ["i32", "i32", "i32"], results: ["i32"], export: true }, (f, control, nThreads, spins) => {
    const generationAt = f.local("i32", f.i32.add(control.get(), f.i32.const(4 * CONTROL.generation)));
    const generation = f.local("i32", f.i32.atomic.load(generationAt.get()));
    const arrived = f.i32.atomic.rmw.add(control.get(), f.i32.const(1), { offset: 4 * CONTROL.arrivals });
    // the last to arrive opens the gate
    f.if(f.i32.eq(arrived, f.i32.sub(nThreads.get(), f.i32.const(1))), () => {
      f.i32.atomic.store(control.get(), f.i32.const(0), { offset: 4 * CONTROL.arrivals });
      f.drop(f.i32.atomic.rmw.add(generationAt.get(), f.i32.const(1)));
      f.drop(f.memory.atomic.notify(generationAt.get(), f.i32.const(-1)));
      f.return(f.i32.const(0));
    });
    return emitWaitChange(f, generationAt, generation, spins, MAX_SLEEPS);
  });
}

/** Exports `wait_step(control, old, spins) → 0` once the step word is not `old`. */
export function emitWaitStep(m: ModuleBuilder, name: string): void {
  m.func(name, { params: ["i32", "i32", "i32"], results: ["i32"], export: true }, (f, control, old, spins) =>
    emitWaitChange(f, control, old, spins, 0),
  );
}
