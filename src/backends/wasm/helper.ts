/**
 * A helper thread: computes the coordinator's layout for itself, binds the same kernels to the shared memory, says `ready`, and then
 * walks through every step in lock-step, blocking between steps. It receives one message and ends when it is terminated.
 */

import { type LayoutInput, layOut } from "./layout.ts";
import { Lockstep } from "./lockstep.ts";
import { Bank } from "./memory.ts";
import { COMMAND, CONTROL, readStepWord } from "./sync.ts";

export interface HelperStart {
  readonly type: "start";
  readonly input: LayoutInput;
  readonly thread: number;
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly scalars: readonly (readonly [string, number])[];
  /** The step word when the message was sent. */
  readonly step: number;
}

/** Runs until stopped; `ready` is called once, before the first wait. */
export function runHelper(start: HelperStart, ready: () => void): void {
  const layout = layOut(start.input);
  const bank = new Bank(start.memory);
  layout.weights.setScalars(start.scalars);
  const lockstep = new Lockstep(layout, () => bank, start.thread);
  lockstep.instantiate(bank, start.module);
  const control = lockstep.control;
  const outputs = bank.i32(layout.outputsAddress, start.input.maxOutputs);
  ready();
  for (let word = start.step; ; ) {
    lockstep.waitStep(word);
    word = Atomics.load(control, CONTROL.step);
    const { command, nActive } = readStepWord(word);
    if (command === COMMAND.stop) return;
    // the next step cannot begin before every active thread has ended this one; the others only look on
    if (start.thread >= nActive) continue;
    const view = { nTokens: control[CONTROL.nTokens]!, nOutputs: control[CONTROL.nOutputs]!, outputs };
    if (!lockstep.run(command === COMMAND.decode ? "decode" : "prefill", view, nActive)) return;
  }
}
