/**
 * Integer accumulators of one tile cell (4 rows × 1 token): how codes and activations are multiplied and summed, by variant.
 * All are exact in 32 bits, so that every variant gives the same result.
 *
 * Relaxed: `i32x4.relaxed_dot_i8x16_i7x16_add_s` is exact on every engine as long as its second operand is 0..127 and pair sums fit
 * into 16 bits. Unsigned codes go there; for signed weights the activation does, split into its positive and negative part.
 * Relaxed, 16 bits: `i16x8.relaxed_dot_i8x16_i7x16_s`, for machines that make the 32-bit form of several instructions (x86 without VNNI).
 * Sums stay in 16 bits for one block. Plain, and signed weights there: `i32x4.dot_i16x8_s` of widened bytes.
 */
import type { IntPanel, Plane } from "../../quant/panel.ts";
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { Val } from "../../wasm-asm/types.ts";
import { usesTables, type Variant } from "./variant.ts";

/** An activation vector that all rows of a tile share: 4 columns, splat. */
export interface Splat {
  readonly x: Local<"v128">;
  /** max(x, 0) and max(−x, 0), for signed weights in the relaxed variant. */
  readonly positive: Local<"v128">;
  readonly negative: Local<"v128">;
  /** x as i16, twice, for widened weights. */
  readonly wide: Local<"v128">;
}

/** One plane of a vector of weights. */
export interface Codes {
  readonly bytes: Local<"v128">;
  /** As i16, rows 0, 1 and rows 2, 3, for widened weights. */
  readonly low: Local<"v128">;
  readonly high: Local<"v128">;
}

export interface DotAccumulator {
  /** += codes · x */
  add(codes: Codes, splat: Splat): void;
  /** At the end of a block: makes room in narrow sums. */
  blockEnd?(): void;
  /** i32x4: one sum per row. */
  value(): Val<"v128">;
  reset(): void;
}

/** How the planes of a vector reach the sums of a tile cell: which sum a plane goes to, and by how much that sum is to be shifted down. */
export interface PlaneSums {
  readonly shifts: readonly number[];
  sumOf(plane: Plane, g: number): number;
  codes(f: FuncBuilder, plane: Plane, w: Local<"v128">): Val<"v128">;
}

/** With one token there are registers for several sums, and planes need not be shifted into place. */
export function planeSums(panel: IntPanel, variant: Variant, nTokens: number): PlaneSums {
  if (nTokens > 1 || panel.codes === "signed" || usesTables(variant))
    return { shifts: [0], sumOf: () => 0, codes: (f, plane, w) => plane.exact(f, w) };
  if (variant === "relaxed")
    return { shifts: panel.planes.map(({ shift }) => shift), sumOf: (_, g) => g, codes: (f, plane, w) => plane.raw(f, w) };
  const shifts = [...new Set(panel.planes.map(({ nibbleShift }) => nibbleShift))];
  return { shifts, sumOf: ({ nibbleShift }) => shifts.indexOf(nibbleShift), codes: (f, plane, w) => plane.nibble(f, w) };
}

/** Whether bytes are multiplied as 16-bit numbers. */
export function isWidened(panel: IntPanel, variant: Variant): boolean {
  return usesTables(variant) || (variant === "relaxed-i16" && panel.codes === "signed");
}

/** Sets `low` and `high`, from `bytes` or, where those are the vector as it is, from its address. */
export function widenCodes(
  f: FuncBuilder,
  { bytes, low, high }: Codes,
  panel: IntPanel,
  address: Local<"i32">,
  offset: number,
): void {
  if (panel.codes === "signed") {
    low.set(f.v128.load8x8_s(address.get(), { offset, align: 1 }));
    high.set(f.v128.load8x8_s(address.get(), { offset: offset + 8, align: 1 }));
  } else {
    low.set(f.i16x8.extend_low_i8x16_s(bytes.get()));
    high.set(f.i16x8.extend_high_i8x16_s(bytes.get()));
  }
}

/** Loads 4 columns of x at `address` in the forms that the accumulators of `panel` want. */
export function loadSplat(
  f: FuncBuilder,
  splat: Splat,
  panel: IntPanel,
  variant: Variant,
  address: Val<"i32">,
  offset: number,
): void {
  splat.x.set(f.v128.load32_splat(address, { offset }));
  if (isWidened(panel, variant)) {
    splat.wide.set(f.i16x8.extend_low_i8x16_s(splat.x.get()));
  } else if (panel.codes === "signed") {
    splat.positive.set(f.i8x16.max_s(splat.x.get(), zero(f)));
    splat.negative.set(f.i8x16.max_s(f.i8x16.neg(splat.x.get()), zero(f)));
  }
}

export function createAccumulator(f: FuncBuilder, panel: IntPanel, variant: Variant): DotAccumulator {
  if (isWidened(panel, variant)) return plainWide(f);
  if (variant === "relaxed-i16") return relaxedNarrow(f);
  return panel.codes === "unsigned" ? relaxedUnsigned(f) : relaxedSigned(f);
}

function zero(f: FuncBuilder): Val<"v128"> {
  return f.v128.const("i32x4", 0);
}

function relaxedUnsigned(f: FuncBuilder): DotAccumulator {
  const sum = f.local("v128");
  return {
    add: ({ bytes }, { x }) => sum.set(f.i32x4.relaxed_dot_i8x16_i7x16_add_s(x.get(), bytes.get(), sum.get())),
    value: () => sum.get(),
    reset: () => sum.set(zero(f)),
  };
}

/** Bound for ternary blocks: 32 dots of 2 · 2 · 128 per lane; for one token two sums of 16, the codes of one times 4: 16 · 2 · 8 · 127 = 32,512. */
function relaxedNarrow(f: FuncBuilder): DotAccumulator {
  const narrow = f.local("v128");
  const sum = f.local("v128");
  return {
    add: ({ bytes }, { x }) => narrow.set(f.i16x8.add(f.i16x8.relaxed_dot_i8x16_i7x16_s(x.get(), bytes.get()), narrow.get())),
    blockEnd() {
      sum.set(f.i32x4.add(f.i32x4.extadd_pairwise_i16x8_s(narrow.get()), sum.get()));
      narrow.set(zero(f));
    },
    value: () => sum.get(),
    reset() {
      sum.set(zero(f));
      narrow.set(zero(f));
    },
  };
}

function relaxedSigned(f: FuncBuilder): DotAccumulator {
  const plus = f.local("v128");
  const minus = f.local("v128");
  return {
    add({ bytes }, { positive, negative }) {
      plus.set(f.i32x4.relaxed_dot_i8x16_i7x16_add_s(bytes.get(), positive.get(), plus.get()));
      minus.set(f.i32x4.relaxed_dot_i8x16_i7x16_add_s(bytes.get(), negative.get(), minus.get()));
    },
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

/** Products of 16-bit numbers, which are summed in pairs in 32 bits. */
function plainWide(f: FuncBuilder): DotAccumulator {
  const low = f.local("v128");
  const high = f.local("v128");
  return {
    add(codes, { wide }) {
      low.set(f.i32x4.add(f.i32x4.dot_i16x8_s(codes.low.get(), wide.get()), low.get()));
      high.set(f.i32x4.add(f.i32x4.dot_i16x8_s(codes.high.get(), wide.get()), high.get()));
    },
    value: () => joinPairs(f, low, high),
    reset() {
      low.set(zero(f));
      high.set(zero(f));
    },
  };
}
