/**
 * One thread's view of a loaded Program: its kernels and its dispatches, bound to its own addresses, and the walk through the stages of
 * a step. Coordinator and helpers run the same code; nothing is sent between them within a step.
 */
import { type Binding, bindOp, type Dispatch, type StepView } from "./dispatch.ts";
import { type Kernel, KernelSet } from "./kernels.ts";
import { type Layout, rowStride } from "./layout.ts";
import type { Bank } from "./memory.ts";
import { rotaryKey } from "./rope-table.ts";
import { rowForm } from "./row-form.ts";
import { type Stages, shareOf } from "./schedule.ts";
import { CONTROL, emitBarrier, emitWaitStep, SPINS } from "./sync.ts";

type Mode = "decode" | "prefill";

interface BoundOp {
  readonly index: number;
  readonly dispatch: Dispatch;
  /** `each`: every thread runs all items for itself. */
  readonly isEach: boolean;
}

export class Lockstep {
  readonly kernels: KernelSet;
  readonly #layout: Layout;
  readonly #stages: Readonly<Record<Mode, readonly (readonly BoundOp[])[]>>;
  readonly #barrier: Kernel;
  readonly #waitStep: Kernel;
  #control: Int32Array | null = null;

  constructor(layout: Layout, bank: () => Bank, thread: number) {
    this.#layout = layout;
    const { variant } = layout.input;
    const isShared = layout.input.maxThreads > 1;
    this.kernels = new KernelSet(variant, layout.bank.nWasmPages, isShared);
    const bind = (mode: Mode): Binding => ({
      kernels: this.kernels,
      weights: layout.weights,
      address: (tensor) => (mode === "decode" ? layout.decodeAddress(tensor, thread) : layout.prefillAddress(tensor)),
      stride: (tensor) => rowStride(tensor, variant, mode === "decode"),
      form: (tensor) => rowForm(tensor.layout, variant, mode === "decode"),
      f32: (address, n) => bank().f32(address, n),
      copy: (from, to, nBytes) => bank().copy(from, to, nBytes),
      tokensAddress: layout.tokensAddress,
      faultAddress: layout.controlAddress + 4 * CONTROL.fault,
      scoresAddress: layout.scoresAddress(thread),
      matmulAddress: layout.matmulAddress(thread),
      slotOffset: (index) => layout.slotOffsets[index]!,
      ropeTableAddress: (op) => layout.ropeTables.get(rotaryKey(op.rotary))!.address,
    });
    this.#stages = {
      decode: this.#bindStages(layout.decode, "decode", bind("decode")),
      prefill: this.#bindStages(layout.prefill, "prefill", bind("prefill")),
    };
    const unused: Kernel = { call: () => 0 };
    this.#barrier = isShared ? this.kernels.kernel("barrier", emitBarrier) : unused;
    this.#waitStep = isShared ? this.kernels.kernel("wait_step", emitWaitStep) : unused;
  }

  /** Binds the kernels to memory. */
  instantiate(bank: Bank, module?: WebAssembly.Module): void {
    this.kernels.instantiate(bank.memory, module);
    this.#control = bank.i32(this.#layout.controlAddress, CONTROL.counters + this.#layout.program.ops.length);
  }

  get control(): Int32Array {
    return this.#control!;
  }

  /** Runs every stage with `nThreads` threads in all. Returns false when another thread did not come to a barrier. */
  run(mode: Mode, view: StepView, nThreads: number): boolean {
    for (const stage of this.#stages[mode]) {
      for (const { index, dispatch, isEach } of stage) {
        const nItems = dispatch.nItems(view);
        if (nItems === 0) continue;
        if (isEach || nThreads === 1) dispatch.run(0, nItems, view);
        else this.#share(index, dispatch, nItems, view, nThreads);
      }
      if (nThreads > 1 && this.#barrier.call(this.#layout.controlAddress, nThreads, SPINS) !== 0) return false;
    }
    return true;
  }

  /** Waits until the step number is no longer `old`. */
  waitStep(old: number): void {
    this.#waitStep.call(this.#layout.controlAddress, old, SPINS);
  }

  /** Takes ranges of the op's items until there are none; fast and slow cores end together. */
  #share(index: number, dispatch: Dispatch, nItems: number, view: StepView, nThreads: number): void {
    const control = this.control;
    const counter = CONTROL.counters + index;
    const chunk = chunkSize(nItems, nThreads, dispatch.grain);
    for (;;) {
      const begin = Atomics.add(control, counter, chunk);
      if (begin >= nItems) return;
      dispatch.run(begin, Math.min(begin + chunk, nItems), view);
    }
  }

  #bindStages(stages: Stages, mode: Mode, binding: Binding): readonly (readonly BoundOp[])[] {
    const { ops } = this.#layout.program;
    return stages.map((stage) =>
      stage
        // embeddings are looked up by the coordinator before a step begins
        .filter((i) => ops[i]!.kind !== "embed")
        .map((index) => ({
          index,
          dispatch: bindOp(ops[index]!, binding),
          isEach: mode === "decode" && shareOf(ops[index]!) === "each",
        })),
    );
  }
}

/** Ranges per thread and op: few enough to cost nothing, enough to even out cores that are taken away for a moment. */
const CHUNKS_PER_THREAD = 6;

function chunkSize(nItems: number, nThreads: number, grain: number): number {
  return grain * Math.max(1, Math.ceil(nItems / (nThreads * CHUNKS_PER_THREAD * grain)));
}
