/**
 * Pass: liveness → one scratch arena. A tensor's place is taken at its op and given back after its last reader; first fit over the
 * free places, largest address last. Known before a byte is loaded, so nothing grows during a token.
 */
import { opInputs, opOutput } from "./ops.ts";
import type { Program } from "./program.ts";
import type { Tensor } from "./tensor.ts";

export interface ScratchPlan {
  /** Byte offset in the arena by tensor id. */
  readonly offsets: ReadonlyMap<number, number>;
  readonly nBytes: number;
}

export interface ScratchOptions {
  /** Bytes of a tensor at the largest step. */
  readonly tensorBytes: (tensor: Tensor) => number;
  /** Every offset is a multiple of this. */
  readonly alignment: number;
  /** Labels whose tensors must still be there after the step. */
  readonly keep?: readonly string[];
  /** Tensors that get a place here; the others have theirs elsewhere. Default: all. */
  readonly includes?: (tensor: Tensor) => boolean;
  /** When op `i` runs; ops of one time run in any order beside each other. Default: one after the other. */
  readonly timeOf?: (opIndex: number) => number;
}

export function planScratch(program: Program, options: ScratchOptions): ScratchPlan {
  const timeOf = options.timeOf ?? ((i) => i);
  const lastUse = new Map<number, number>();
  program.ops.forEach((op, i) => {
    const out = opOutput(op);
    for (const tensor of out === null ? opInputs(op) : [...opInputs(op), out]) lastUse.set(tensor.id, timeOf(i));
  });
  lastUse.set(program.logits.id, Number.POSITIVE_INFINITY);
  for (const name of options.keep ?? []) {
    const tensor = program.labels.get(name);
    if (tensor !== undefined) lastUse.set(tensor.id, Number.POSITIVE_INFINITY);
  }

  const offsets = new Map<number, number>();
  /** Places in use, sorted by offset. */
  let live: { id: number; begin: number; end: number }[] = [];
  let nBytes = 0;
  program.ops.forEach((op, i) => {
    const out = opOutput(op);
    // what was last read before this time is free again
    live = live.filter((place) => lastUse.get(place.id)! >= timeOf(i));
    if (out !== null && (options.includes?.(out) ?? true)) {
      const size = Math.ceil(options.tensorBytes(out) / options.alignment) * options.alignment;
      let begin = 0;
      for (const place of live) {
        if (place.begin - begin >= size) break;
        begin = Math.max(begin, place.end);
      }
      offsets.set(out.id, begin);
      live.push({ id: out.id, begin, end: begin + size });
      live.sort((a, b) => a.begin - b.begin);
      nBytes = Math.max(nBytes, begin + size);
    }
  });
  return { offsets, nBytes };
}
