/** SIMD snippets that several kernels emit: sums across lanes, f16 stores, e^x. No fused multiply-add: results must not depend on the engine. */
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import type { Func, Val } from "../../wasm-asm/types.ts";

/** (v0 + v2) + (v1 + v3) */
export function sumF32x4(f: FuncBuilder, v: Local<"v128">): Val<"f32"> {
  const pairs = f.local("v128");
  pairs.set(f.f32x4.add(v.get(), f.i8x16.shuffle(v.get(), v.get(), [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7])));
  return f.f32.add(f.f32x4.extract_lane(pairs.get(), 0), f.f32x4.extract_lane(pairs.get(), 1));
}

/** max(max(v0, v2), max(v1, v3)) */
export function maxF32x4(f: FuncBuilder, v: Local<"v128">): Val<"f32"> {
  const pairs = f.local("v128");
  pairs.set(f.f32x4.max(v.get(), f.i8x16.shuffle(v.get(), v.get(), [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7])));
  return f.f32.max(f.f32x4.extract_lane(pairs.get(), 0), f.f32x4.extract_lane(pairs.get(), 1));
}

/** Sum of four i32 lanes. */
export function sumI32x4(f: FuncBuilder, v: Local<"v128">): Val<"i32"> {
  const lanes = f.i32.add(f.i32x4.extract_lane(v.get(), 0), f.i32x4.extract_lane(v.get(), 1));
  return f.i32.add(lanes, f.i32.add(f.i32x4.extract_lane(v.get(), 2), f.i32x4.extract_lane(v.get(), 3)));
}

/**
 * Four f32 → four halves in the low 16 bits of each 32-bit lane, ties to even, subnormals exact, |x| ≥ 65520 → infinity.
 * Normal halves by adding the rounding bias to the bits, subnormal ones by letting an f32 addition to 0.5 round.
 */
export function f16Bits(f: FuncBuilder, x: Local<"v128">): Val<"v128"> {
  const bits = f.local("v128", f.v128.and(x.get(), f.v128.const("i32x4", 0x7fffffff)));
  // normal = (bits + 0xfff + ((bits >> 13) & 1) − (112 << 23)) >> 13
  const normal = f.local(
    "v128",
    f.i32x4.shr_u(
      f.i32x4.add(
        f.i32x4.add(bits.get(), f.v128.const("i32x4", 0xfff - (112 << 23))),
        f.v128.and(f.i32x4.shr_u(bits.get(), f.i32.const(13)), f.v128.const("i32x4", 1)),
      ),
      f.i32.const(13),
    ),
  );
  // subnormal = bits of (|x| + 0.5) − bits of 0.5
  const subnormal = f.local(
    "v128",
    f.i32x4.sub(f.f32x4.add(bits.get(), f.v128.const("f32x4", 0.5)), f.v128.const("i32x4", 126 << 23)),
  );
  const isSubnormal = f.local("v128", f.i32x4.lt_s(bits.get(), f.v128.const("i32x4", 113 << 23)));
  const finite = f.local("v128", f.v128.bitselect(subnormal.get(), normal.get(), isSubnormal.get()));
  // 65520 = 0x477ff000 rounds up to 2^16, which a half does not have
  const isTooLarge = f.local("v128", f.i32x4.ge_s(bits.get(), f.v128.const("i32x4", 0x477ff000)));
  const magnitude = f.local("v128", f.v128.bitselect(f.v128.const("i32x4", 0x7c00), finite.get(), isTooLarge.get()));
  return f.v128.or(magnitude.get(), f.v128.and(f.i32x4.shr_u(x.get(), f.i32.const(16)), f.v128.const("i32x4", 0x8000)));
}

/**
 * Function `exp(v128) → v128`: e^x of four f32, within 2 ulp; 0 below −87.3, finite above.
 * x = n ln 2 + r, |r| ≤ ln 2 / 2, polynomial of degree 5 in r. Source of the coefficients: Cephes 2.8, single/expf.c (Moshier).
 */
export function emitExp(m: ModuleBuilder): Func<["v128"], ["v128"]> {
  return m.func("exp", { params: ["v128"], results: ["v128"] }, (f, x) => {
    const splat = (value: number) => f.v128.const("f32x4", value);
    const clamped = f.local("v128", f.f32x4.min(f.f32x4.max(x.get(), splat(-87.33654)), splat(88.3762626647949)));
    // n = nearest(x / ln 2)
    const n = f.local("v128", f.f32x4.nearest(f.f32x4.mul(clamped.get(), splat(Math.LOG2E))));
    // r = x − n ln 2, with ln 2 in two parts
    const r = f.local("v128", f.f32x4.sub(clamped.get(), f.f32x4.mul(n.get(), splat(0.693359375))));
    r.set(f.f32x4.sub(r.get(), f.f32x4.mul(n.get(), splat(-2.1219444e-4))));
    // p = (((((c0 r + c1) r + c2) r + c3) r + c4) r + c5) r² + r + 1
    const p = f.local("v128", splat(1.98756915e-4));
    for (const c of [1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1]) {
      p.set(f.f32x4.add(f.f32x4.mul(p.get(), r.get()), splat(c)));
    }
    p.set(f.f32x4.add(f.f32x4.add(f.f32x4.mul(p.get(), f.f32x4.mul(r.get(), r.get())), r.get()), splat(1)));
    // · 2^n, by its exponent bits
    const power = f.local(
      "v128",
      f.i32x4.shl(f.i32x4.add(f.i32x4.trunc_sat_f32x4_s(n.get()), f.v128.const("i32x4", 127)), f.i32.const(23)),
    );
    // below the smallest normal: 0 (x is compared, so that NaN stays NaN)
    return f.v128.andnot(f.f32x4.mul(p.get(), power.get()), f.f32x4.lt(x.get(), splat(-87.33654)));
  });
}
