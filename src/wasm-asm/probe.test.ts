import { expect, test } from "vitest";
import { type DotEmitter, isDotExact, probeFeatures } from "./probe.ts";

test("probes the engine at hand and caches", () => {
  const features = probeFeatures();
  expect(features.simd).toBe(true);
  expect(features.threads).toBe(true);
  expect(features.relaxedSimd).toBe(features.relaxedDotI32 && features.relaxedDotI16);
  const start = performance.now();
  for (let i = 0; i < 1000; i++) probeFeatures();
  expect(performance.now() - start).toBeLessThan(1000); // 1000 fresh probes take above 1 s
});

test("an override replaces single answers for one call", () => {
  const features = probeFeatures();
  expect(probeFeatures({ relaxedSimd: false, threads: false })).toEqual({ ...features, relaxedSimd: false, threads: false });
  expect(probeFeatures()).toEqual(features);
});

/** What the relaxed dot products are meant to be, in plain SIMD. */
const plainDotI16: DotEmitter = (f, a, b) => {
  const [x, y] = [f.local("v128"), f.local("v128")];
  y.set(b);
  x.set(a);
  const low = f.i16x8.extmul_low_i8x16_s(x.get(), y.get());
  const high = f.i16x8.extmul_high_i8x16_s(x.get(), y.get());
  const products = [f.local("v128"), f.local("v128")] as const;
  products[1].set(high);
  products[0].set(low);
  const evens = [0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29];
  const even = f.i8x16.shuffle(products[0].get(), products[1].get(), evens);
  return f.i16x8.add(
    even,
    f.i8x16.shuffle(
      products[0].get(),
      products[1].get(),
      evens.map((i) => i + 2),
    ),
  );
};

test("the value check accepts exact sums and finds the known wrong ones", () => {
  const pairSums: DotEmitter = (f, a, b, c) => f.i32x4.extadd_pairwise_i16x8_s(plainDotI16(f, a, b, c));
  const drop: DotEmitter = (f, a, b, c) => {
    const sum = f.local("v128", pairSums(f, a, b, c));
    return f.i32x4.add(sum.get(), sum.get());
  };
  expect(isDotExact(2, plainDotI16)).toBe(true);
  expect(isDotExact(4, (f, a, b, c) => f.i32x4.add(pairSums(f, a, b, c), c()))).toBe(true);
  expect(isDotExact(4, drop)).toBe(false); // Node 20: accumulator dropped, sum doubled
  expect(isDotExact(4, (f, a, b, c) => f.i32x4.sub(pairSums(f, a, b, c), c()))).toBe(false);
  // pairs saturated at 15 bits, as a wrongly lowered multiply-add would
  const saturated: DotEmitter = (f, a, b, c) => f.i16x8.min_s(plainDotI16(f, a, b, c), f.v128.const("i16x8", 32253));
  expect(isDotExact(2, saturated)).toBe(false);
  expect(isDotExact(2, (f, a, b) => f.v128.and(a, b))).toBe(false);
});
