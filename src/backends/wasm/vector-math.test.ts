/** The SIMD snippets as emitted: e^x against exact arithmetic, f16 rounding against numerics/f16. */
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../tests/support/synthetic-random.ts";
import * as elementary from "../../numerics/elementary.ts";
import { f16ToF32, f32ToF16 } from "../../numerics/f16.ts";
import { loadF16x4 } from "../../quant/panel.ts";
import { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import type { Val } from "../../wasm-asm/types.ts";
import { emitExp, f16Bits, maxF32x4, sumF32x4, sumI32x4 } from "./vector-math.ts";

const memory = new WebAssembly.Memory({ initial: 2 });
const IN = 16;
const OUT = 65_536;

/** A function `run(n)` over vectors of 4: out[i] = body(in[i]). */
function kernel(emit: (m: ModuleBuilder) => void): (values: Float32Array) => Float32Array {
  const m = new ModuleBuilder("test");
  m.importMemory("env", "memory", { initial: 2 });
  emit(m);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.build()), { env: { memory } });
  const run = exports["run"] as () => void;
  return (values) => {
    const out = new Float32Array(values.length);
    for (let i = 0; i < values.length; i += 4) {
      new Float32Array(memory.buffer, IN, 4).fill(0).set(values.subarray(i, i + 4));
      run();
      out.set(new Float32Array(memory.buffer, OUT, Math.min(4, values.length - i)), i);
    }
    return out;
  };
}

const exp = kernel((m) => {
  const func = emitExp(m);
  m.func("run", { export: true }, (f) => {
    f.v128.store(f.i32.const(OUT), f.call(func, f.v128.load(f.i32.const(IN))));
  });
});

describe("exp", () => {
  /** Distance in units of the last place of the result. */
  const ulps = (x: number, got: number) => {
    const exact = elementary.exp(x);
    return Math.abs(got - exact) / 2 ** (Math.floor(Math.log2(exact)) - 23);
  };

  it("is within 2 ulp over the whole range", () => {
    const random = seededRandom(1);
    const x = Float32Array.from({ length: 40_000 }, (_, i) => (i % 2 ? -87.3 * random.uniform() : random.uniform() * 176 - 88));
    let worst = 0;
    exp(x).forEach((got, i) => {
      if (x[i]! > -87.33) worst = Math.max(worst, ulps(x[i]!, got));
    });
    // 0.93 measured
    expect(worst).toBeLessThanOrEqual(2);
  });

  it("e^0 is exactly 1, at both zeros; −∞ and what is below the normal numbers give 0", () => {
    expect(
      [...exp(Float32Array.of(0, -0, -Infinity, -88, -1000, -3e38, -87.4, -87.33))].map((v, i) => (i < 7 ? v : v > 0)),
    ).toEqual([1, 1, 0, 0, 0, 0, 0, true]);
  });

  it("is finite above, NaN stays NaN", () => {
    const [a, b, c, d] = exp(Float32Array.of(88.3, 88.4, 1000, Infinity));
    expect([a, b, c, d].every((value) => Number.isFinite(value) && value! > 1e38)).toBe(true);
    expect(exp(Float32Array.of(NaN))[0]).toBeNaN();
  });

  it("never decreases where the argument grows", () => {
    const x = Float32Array.from({ length: 20_000 }, (_, i) => -20 + i / 1000);
    const y = exp(x);
    for (let i = 1; i < y.length; i++) {
      // a polynomial may waver by its own error, not more
      if (y[i]! < y[i - 1]! * (1 - 2 ** -22)) expect.fail(`e^${x[i]} < e^${x[i - 1]}`);
    }
  });
});

describe("f16", () => {
  const roundTrip = kernel((m) => {
    m.func("run", { export: true }, (f) => {
      const x = f.local("v128", f.v128.load(f.i32.const(IN)));
      const bits = f.local("v128", f16Bits(f, x));
      f.v128.store64_lane(f.i32.const(32), f.i16x8.narrow_i32x4_u(bits.get(), bits.get()), 0);
      f.v128.store(f.i32.const(OUT), loadF16x4(f, f.i32.const(32)));
    });
  });

  it("every finite half survives", () => {
    const halves = Float32Array.from({ length: 65_536 }, (_, bits) => f16ToF32(bits)).filter(Number.isFinite);
    const got = roundTrip(halves);
    const wrong = halves.findIndex((value, i) => !Object.is(value, got[i]));
    expect(wrong).toBe(-1);
  });

  it("f32 of any bits below 65,520 round as numerics/f16 says, signs of zero included", () => {
    const random = seededRandom(3);
    const bits = Uint32Array.from({ length: 60_000 }, (_, i) => {
      // every third a tie between two halves, a third around the subnormal ones
      const exponent = i % 3 === 0 ? 100 + random.below(15) : random.below(143);
      return (
        (((random.u32() & 1) << 31) |
          (exponent << 23) |
          (i % 2 ? random.u32() & 0x7fffff : (random.u32() & 0x7fe000) | 0x1000)) >>>
        0
      );
    });
    const values = new Float32Array(bits.buffer).filter((value) => Math.abs(value) < 65_520);
    const got = roundTrip(values);
    const wrong = values.findIndex((value, i) => !Object.is(f16ToF32(f32ToF16(value)), got[i]));
    expect(wrong === -1 ? "" : `${values[wrong]} became ${got[wrong]}`).toBe("");
  });
});

describe("sums across lanes", () => {
  it("have the stated order", () => {
    const reduce = (emit: (f: Parameters<typeof sumF32x4>[0], v: Parameters<typeof sumF32x4>[1]) => Val<"f32">) =>
      kernel((m) => {
        m.func("run", { export: true }, (f) => {
          f.f32.store(f.i32.const(OUT), emit(f, f.local("v128", f.v128.load(f.i32.const(IN)))));
        });
      });
    // (2^24 + −2^24) + (1 + 1) in the stated order; another would lose a 1
    expect(reduce(sumF32x4)(Float32Array.of(2 ** 24, 1, -(2 ** 24), 1))[0]).toBe(2);
    expect(reduce(maxF32x4)(Float32Array.of(-5, -2, -3, -4))[0]).toBe(-2);
    expect(reduce(maxF32x4)(Float32Array.of(-5, -6, -3, -4))[0]).toBe(-3);
    const ints = new Float32Array(Int32Array.of(1, 20, 300, -4000).buffer);
    const sum = reduce((f, v) => f.f32.convert_i32_s(sumI32x4(f, v)))(ints);
    expect(sum[0]).toBe(1 + 20 + 300 - 4000);
  });
});
