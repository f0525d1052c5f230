/**
 * Integer accumulators of one tile cell (4 rows × 1 token): how codes and activations are multiplied and summed, by variant.
 * All are exact in 32 bits, so that every variant gives the same result.
 *
 * Relaxed: `i32x4.relaxed_dot_i8x16_i7x16_add_s` is exact on every engine as long as its second operand is 0..127 and pair sums fit
 * into 16 bits. Unsigned codes go there; for signed weights the activation does, split into its positive and negative part.
 */
import type { IntPanel } from "../../quant/panel.ts";
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { Val } from "../../wasm-asm/types.ts";
import type { Variant } from "./variant.ts";

/** An activation vector that all rows of a tile share: 4 columns, splat. */
export interface Splat {
  readonly x: Local<"v128">;
  /** max(x, 0) and max(−x, 0), for signed weights in the relaxed variant. */
  readonly positive: Local<"v128">;
  readonly negative: Local<"v128">;
}

export interface DotAccumulator {
  /** += codes · x */
  add(codes: Local<"v128">, splat: Splat): void;
  /** At the end of a block: makes room in narrow sums. */
  blockEnd(): void;
  /** i32x4: one sum per row. */
  value(): Val<"v128">;
  reset(): void;
}

export function needsSplit(panel: IntPanel, variant: Variant): boolean {
  return variant === "relaxed" && panel.codes === "signed";
}

export function createAccumulator(f: FuncBuilder, panel: IntPanel, variant: Variant): DotAccumulator {
  if (variant === "relaxed") return panel.codes === "unsigned" ? relaxedUnsigned(f) : relaxedSigned(f);
  // products of one block in each 16-bit lane: one per vector and plane
  const fits = panel.nVectors * panel.planes.length * panel.maxProduct <= 32_767;
  return fits ? plainNarrow(f) : plainWide(f);
}

function zero(f: FuncBuilder): Val<"v128"> {
  return f.v128.const("i32x4", 0);
}

function relaxedUnsigned(f: FuncBuilder): DotAccumulator {
  const sum = f.local("v128");
  return {
    add: (codes, { x }) => sum.set(f.i32x4.relaxed_dot_i8x16_i7x16_add_s(x.get(), codes.get(), sum.get())),
    blockEnd: () => {},
    value: () => sum.get(),
    reset: () => sum.set(zero(f)),
  };
}

function relaxedSigned(f: FuncBuilder): DotAccumulator {
  const plus = f.local("v128");
  const minus = f.local("v128");
  return {
    add(codes, { positive, negative }) {
      plus.set(f.i32x4.relaxed_dot_i8x16_i7x16_add_s(codes.get(), positive.get(), plus.get()));
      minus.set(f.i32x4.relaxed_dot_i8x16_i7x16_add_s(codes.get(), negative.get(), minus.get()));
    },
    blockEnd: () => {},
    value: () => f.i32x4.sub(plus.get(), minus.get()),
    reset() {
      plus.set(zero(f));
      minus.set(zero(f));
    },
  };
}

/** Sums of adjacent pairs in two vectors → one sum per row: low holds rows 0, 0, 1, 1, high 2, 2, 3, 3. */
function joinPairs(f: FuncBuilder, low: Local<"v128">, high: Local<"v128">): Val<"v128"> {
  const even = f.i8x16.shuffle(low.get(), high.get(), [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]);
  const odd = f.i8x16.shuffle(low.get(), high.get(), [4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31]);
  return f.i32x4.add(even, odd);
}

/** 16-bit sums within a block, widened at its end. */
function plainNarrow(f: FuncBuilder): DotAccumulator {
  const [low16, high16, low32, high32] = [f.local("v128"), f.local("v128"), f.local("v128"), f.local("v128")];
  return {
    add(codes, { x }) {
      low16.set(f.i16x8.add(low16.get(), f.i16x8.extmul_low_i8x16_s(codes.get(), x.get())));
      high16.set(f.i16x8.add(high16.get(), f.i16x8.extmul_high_i8x16_s(codes.get(), x.get())));
    },
    blockEnd() {
      low32.set(f.i32x4.add(low32.get(), f.i32x4.extadd_pairwise_i16x8_s(low16.get())));
      high32.set(f.i32x4.add(high32.get(), f.i32x4.extadd_pairwise_i16x8_s(high16.get())));
      low16.set(zero(f));
      high16.set(zero(f));
    },
    value: () => joinPairs(f, low32, high32),
    reset: () => [low16, high16, low32, high32].forEach((sum) => sum.set(zero(f))),
  };
}

/** Every product is widened at once. */
function plainWide(f: FuncBuilder): DotAccumulator {
  const low = f.local("v128");
  const high = f.local("v128");
  return {
    add(codes, { x }) {
      low.set(f.i32x4.add(low.get(), f.i32x4.extadd_pairwise_i16x8_s(f.i16x8.extmul_low_i8x16_s(codes.get(), x.get()))));
      high.set(f.i32x4.add(high.get(), f.i32x4.extadd_pairwise_i16x8_s(f.i16x8.extmul_high_i8x16_s(codes.get(), x.get()))));
    },
    blockEnd: () => {},
    value: () => joinPairs(f, low, high),
    reset() {
      low.set(zero(f));
      high.set(zero(f));
    },
  };
}
