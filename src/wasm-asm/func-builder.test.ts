import { describe, expect, test } from "vitest";
import type { FuncBuilder, Local } from "./func-builder.ts";
import { ModuleBuilder } from "./module-builder.ts";
import type { Val, ValType } from "./types.ts";

type NumberFunc = (...args: number[]) => number;

/** Compiles a module and gives its exported functions. */
function run(m: ModuleBuilder, imports: WebAssembly.Imports = {}): Record<string, NumberFunc> {
  return new WebAssembly.Instance(new WebAssembly.Module(m.build()), imports).exports as Record<string, NumberFunc>;
}

function i32Func(nParams: number, body: (f: FuncBuilder, ...params: Local<"i32">[]) => Val<"i32">): NumberFunc {
  const m = new ModuleBuilder();
  m.memory({ initial: 1, maximum: 2 });
  m.func("main", { params: Array<"i32">(nParams).fill("i32"), results: ["i32"], export: true }, (f, ...p) => body(f, ...p));
  return run(m)["main"] as NumberFunc;
}

/** The 16 lanes or fewer of a vector that `body` computes, read through memory. */
function vector(body: (f: FuncBuilder) => Val<"v128">): ArrayBuffer {
  const m = new ModuleBuilder();
  m.memory({ initial: 1, maximum: 1, export: "memory" });
  m.func("main", { export: true }, (f) => f.v128.store(f.i32.const(16), body(f), { offset: 16 }));
  const exports = new WebAssembly.Instance(new WebAssembly.Module(m.build())).exports;
  (exports["main"] as () => void)();
  return (exports["memory"] as WebAssembly.Memory).buffer.slice(32, 48);
}

const i8 = (body: (f: FuncBuilder) => Val<"v128">) => [...new Int8Array(vector(body))];
const i16 = (body: (f: FuncBuilder) => Val<"v128">) => [...new Int16Array(vector(body))];
const i32 = (body: (f: FuncBuilder) => Val<"v128">) => [...new Int32Array(vector(body))];
const f32 = (body: (f: FuncBuilder) => Val<"v128">) => [...new Float32Array(vector(body))];
const ramp = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

describe("values", () => {
  test("constants at the edges", () => {
    for (const value of [-(2 ** 31), 2 ** 31 - 1, 63, 64, -64, -65, 0])
      expect(i32Func(0, (f) => f.i32.const(value))()).toBe(value);
    expect(i32Func(0, (f) => f.i32.const(0xffff_fff0))()).toBe(-16);
    const m = new ModuleBuilder();
    const wide = [-(2n ** 63n), 2n ** 63n - 1n, 2n ** 40n, -1n];
    for (const value of wide) m.func(`${value}`, { results: ["i64"], export: true }, (f) => f.i64.const(value));
    m.func("double", { results: ["f64"], export: true }, (f) => f.f64.const(Math.PI));
    m.func("single", { results: ["f32"], export: true }, (f) => f.f32.const(-0));
    const exports = run(m);
    for (const value of wide) expect(exports[`${value}`]?.()).toBe(value);
    expect(exports["double"]?.()).toBe(Math.PI);
    expect(exports["single"]?.()).toBe(-0);
  });

  test("operand order of non-commutative instructions", () => {
    expect(i32Func(2, (f, a, b) => f.i32.sub(a.get(), b.get()))(10, 3)).toBe(7);
    expect(i32Func(2, (f, a, b) => f.i32.shl(a.get(), b.get()))(1, 5)).toBe(32);
    expect(i32Func(2, (f, a, b) => f.i32.shr_u(a.get(), b.get()))(-1, 28)).toBe(15);
    expect(i32Func(1, (f, c) => f.select(f.i32.const(1), f.i32.const(2), c.get()))(1)).toBe(1);
    expect(i32Func(1, (f, c) => f.select(f.i32.const(1), f.i32.const(2), c.get()))(0)).toBe(2);
  });

  test("conversions", () => {
    expect(i32Func(0, (f) => f.i32.trunc_sat_f32_s(f.f32.const(3e9)))()).toBe(2 ** 31 - 1);
    expect(i32Func(0, (f) => f.i32.trunc_sat_f64_u(f.f64.const(Number.NaN)))()).toBe(0);
    expect(i32Func(0, (f) => f.i32.reinterpret_f32(f.f32.const(1)))()).toBe(0x3f80_0000);
    expect(i32Func(1, (f, x) => f.i32.extend8_s(x.get()))(0x80)).toBe(-128);
    expect(i32Func(1, (f, x) => f.i32.wrap_i64(f.i64.shr_u(f.i64.extend_i32_s(x.get()), f.i64.const(32))))(-1)).toBe(-1);
  });

  test("memory instructions", () => {
    const main = i32Func(1, (f, x) => {
      f.i32.store8(f.i32.const(0), x.get(), { offset: 100 });
      f.memory.fill(f.i32.const(104), f.i32.const(7), f.i32.const(2));
      f.memory.copy(f.i32.const(200), f.i32.const(100), f.i32.const(8));
      f.drop(f.memory.grow(f.i32.const(1)));
      return f.i32.add(
        f.i32.mul(f.i32.load8_s(f.i32.const(200)), f.memory.size()),
        f.i32.load16_u(f.i32.const(4), { offset: 200, align: 1 }),
      );
    });
    expect(main(-3)).toBe(-6 + 0x0707);
  });

  test("an offset above 2^31 is added without wrapping", () => {
    expect(() => i32Func(0, (f) => f.i32.load(f.i32.const(-4), { offset: 0xffff_fffc }))()).toThrow(WebAssembly.RuntimeError);
    expect(() => i32Func(0, (f) => f.i32.load(f.i32.const(0), { offset: 0x8000_0000 }))()).toThrow(WebAssembly.RuntimeError);
    expect(() => i32Func(0, (f) => f.i32.load(f.i32.const(0), { offset: 2 ** 32 }))).toThrow("i32.load: wasm-asm: 4294967296");
  });

  test("vector constants", () => {
    expect(i8((f) => f.v128.const("i8x16", ramp))).toEqual(ramp);
    expect(i8((f) => f.v128.const("i8x16", 255))).toEqual(Array(16).fill(-1));
    expect(i16((f) => f.v128.const("i16x8", [1, -2, 3, -4, 5, -6, 7, -8]))).toEqual([1, -2, 3, -4, 5, -6, 7, -8]);
    expect(f32((f) => f.v128.const("f32x4", [0.5, -1, Number.POSITIVE_INFINITY, 3]))).toEqual([
      0.5,
      -1,
      Number.POSITIVE_INFINITY,
      3,
    ]);
    expect([...new BigInt64Array(vector((f) => f.v128.const("i64x2", [-1n, 2 ** 40])))]).toEqual([-1n, 2n ** 40n]);
    expect([...new Float64Array(vector((f) => f.v128.const("f64x2", Math.E)))]).toEqual([Math.E, Math.E]);
  });

  test("vector arithmetic", () => {
    const a = (f: FuncBuilder) => f.v128.const("i8x16", [-128, 127, -128, 127, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    const reversed = [...ramp].reverse();
    expect(i8((f) => f.i8x16.shuffle(a(f), f.v128.const("i8x16", ramp), [16, 31, ...ramp.slice(2)])).slice(0, 5)).toEqual([
      0, 15, -128, 127, 1,
    ]);
    expect(i8((f) => f.i8x16.swizzle(f.v128.const("i8x16", ramp), f.v128.const("i8x16", reversed)))).toEqual(reversed);
    expect(i16((f) => f.i16x8.extadd_pairwise_i8x16_s(a(f)))).toEqual([-1, -1, 3, 7, 11, 15, 19, 23]);
    expect(i16((f) => f.i16x8.extmul_low_i8x16_s(a(f), a(f)))).toEqual([16384, 16129, 16384, 16129, 1, 4, 9, 16]);
    expect(i32((f) => f.i32x4.dot_i16x8_s(f.v128.const("i16x8", -3), f.i16x8.extend_high_i8x16_s(a(f))))).toEqual([
      -33, -45, -57, -69,
    ]);
    expect(i8((f) => f.i8x16.narrow_i16x8_s(f.v128.const("i16x8", 300), f.v128.const("i16x8", -300)))).toEqual([
      ...Array(8).fill(127),
      ...Array(8).fill(-128),
    ]);
    expect(i32((f) => f.i32x4.shr_s(f.v128.const("i32x4", [-8, 8, -1, 1]), f.i32.const(2)))).toEqual([-2, 2, -1, 0]);
    expect(
      f32((f) => f.f32x4.sub(f.f32x4.splat(f.f32.const(5)), f.f32x4.convert_i32x4_s(f.v128.const("i32x4", [1, 2, 3, 4])))),
    ).toEqual([4, 3, 2, 1]);
    expect(
      i32((f) => f.v128.bitselect(f.v128.const("i32x4", -1), f.v128.const("i32x4", 0), f.v128.const("i32x4", [1, 2, 3, 4]))),
    ).toEqual([1, 2, 3, 4]);
    expect(f32((f) => f.f32x4.replace_lane(f.v128.const("f32x4", 1), f.f32.const(9), 2))).toEqual([1, 1, 9, 1]);
  });

  test("vector loads and lanes", () => {
    const loaded = i32((f) => {
      f.i32.store(f.i32.const(0), f.i32.const(0x0403_0201));
      f.i32.store(f.i32.const(4), f.i32.const(-1));
      const v = f.local("v128", f.v128.load32_splat(f.i32.const(0)));
      v.set(f.v128.load32_lane(f.i32.const(0), v.get(), 3, { offset: 4 }));
      f.v128.store32_lane(f.i32.const(8), v.get(), 3, { offset: 0 });
      return f.i32x4.add(v.get(), f.v128.load32_zero(f.i32.const(8)));
    });
    expect(loaded).toEqual([0x0403_0200, 0x0403_0201, 0x0403_0201, -1]);
    const widened = i16((f) => {
      f.i64.store(f.i32.const(0), f.i64.const(0xff02_0304_0506_0780n));
      return f.v128.load8x8_s(f.i32.const(0));
    });
    expect(widened).toEqual([-128, 7, 6, 5, 4, 3, 2, -1]);
    expect(i32Func(0, (f) => f.i8x16.bitmask(f.v128.const("i8x16", [-1, 0, -1, ...Array(13).fill(0)])))()).toBe(5);
    expect(i32Func(0, (f) => f.i8x16.extract_lane_u(f.v128.const("i8x16", 200), 15))()).toBe(200);
  });
});

describe("control", () => {
  test("loop, while, block, if", () => {
    const sum = i32Func(1, (f, n) => {
      const total = f.local("i32");
      f.loop((again) => {
        total.set(f.i32.add(total.get(), n.get()));
        f.br_if(again, n.tee(f.i32.sub(n.get(), f.i32.const(1))));
      });
      return total.get();
    });
    expect(sum(10)).toBe(55);
    const collatz = i32Func(1, (f, n) => {
      const steps = f.local("i32");
      f.while(
        () => f.i32.ne(n.get(), f.i32.const(1)),
        () => {
          const isOdd = f.i32.and(n.get(), f.i32.const(1));
          n.set(
            f.if(
              "i32",
              isOdd,
              () => f.i32.add(f.i32.mul(n.get(), f.i32.const(3)), f.i32.const(1)),
              () => f.i32.shr_u(n.get(), f.i32.const(1)),
            ),
          );
          steps.set(f.i32.add(steps.get(), f.i32.const(1)));
        },
      );
      return steps.get();
    });
    expect(collatz(27)).toBe(111);
    const clamp = i32Func(1, (f, x) =>
      f.block("i32", (out) => {
        f.if(f.i32.lt_s(x.get(), f.i32.const(0)), () => f.br(out, f.i32.const(0)));
        f.drop(f.br_if(out, x.get(), f.i32.lt_s(x.get(), f.i32.const(100))));
        return f.i32.const(100);
      }),
    );
    expect([-5, 5, 500].map((x) => clamp(x))).toEqual([0, 5, 100]);
    expect(i32Func(0, (f) => f.loop("i32", () => f.i32.const(4)))()).toBe(4);
  });

  test("br_table", () => {
    const pick = i32Func(1, (f, x) => {
      f.block((other) => {
        f.block((one) => {
          f.block((zero) => f.br_table([zero, one], other, x.get()));
          f.return(f.i32.const(10));
        });
        f.return(f.i32.const(11));
      });
      return f.i32.const(12);
    });
    expect([0, 1, 2, -1].map((x) => pick(x))).toEqual([10, 11, 12, 12]);
  });

  test("dead code takes any operands, and a branch stands for a value", () => {
    expect(i32Func(0, (f) => f.return(f.i32.const(3)))()).toBe(3);
    expect(
      i32Func(0, (f) => {
        f.return(f.i32.const(3));
        return f.i32.add(f.unreachable(), f.i32.const(1));
      })(),
    ).toBe(3);
    expect(i32Func(1, (f, x) => f.i32.add(x.get(), f.return(f.i32.const(8))))(1)).toBe(8);
    expect(
      i32Func(1, (f, x) =>
        f.if(
          "i32",
          x.get(),
          () => f.unreachable(),
          () => f.i32.const(6),
        ),
      )(0),
    ).toBe(6);
    const m = new ModuleBuilder();
    m.func("f", { results: ["i32"], export: true }, ((f: FuncBuilder) => {
      f.return(f.i32.const(2));
    }) as never);
    expect(run(m)["f"]?.()).toBe(2);
  });

  test("atomics", () => {
    const main = i32Func(1, (f, x) => {
      f.i32.atomic.store(f.i32.const(8), x.get());
      f.drop(f.i32.atomic.rmw.add(f.i32.const(0), f.i32.const(5), { offset: 8 }));
      f.drop(f.i32.atomic.rmw.cmpxchg(f.i32.const(8), f.i32.const(15), f.i32.const(100)));
      f.drop(f.i64.atomic.rmw8.xchg_u(f.i32.const(9), f.i64.const(1)));
      f.atomic.fence();
      f.drop(f.memory.atomic.notify(f.i32.const(8), f.i32.const(1)));
      return f.i32.atomic.rmw16.or_u(f.i32.const(8), f.i32.const(0));
    });
    expect(main(10)).toBe(356);
  });

  test("many locals of mixed types keep their indices", () => {
    const n = 3000;
    const main = i32Func(1, (f, x) => {
      const types: ValType[] = ["i32", "i32", "f32", "v128", "i64", "i64"];
      const locals = Array.from({ length: n }, (_, i) => f.local(types[i % 6] as ValType));
      const ints = locals.filter((local): local is Local<"i32"> => local.type === "i32");
      for (const local of ints) local.set(x.get());
      const sum = f.local("i32");
      for (const local of ints) sum.set(f.i32.add(sum.get(), local.get()));
      return sum.get();
    });
    expect(main(3)).toBe(n);
  });

  test("a body of hundreds of kilobytes", () => {
    const main = i32Func(1, (f, x) => {
      for (let i = 0; i < 50_000; i++) x.set(f.i32.add(x.get(), f.i32.const(1000)));
      return x.get();
    });
    expect(main(1)).toBe(50_000_001);
  });
});

describe("mistakes are found while emitting", () => {
  const fails = (body: (f: FuncBuilder, x: Local<"i32">, y: Local<"f32">) => unknown, results: readonly ValType[] = []) => {
    const m = new ModuleBuilder();
    m.memory({ initial: 1 });
    return expect(() => m.func("demo", { params: ["i32", "f32"], results }, body as never));
  };

  test("wrong type", () => {
    fails((f, _x, y) => f.i32.eqz(y.get() as never)).toThrow(
      "wasm-asm: function 'demo': i32.eqz: operand 1: expected i32, found f32 (local.get)",
    );
    fails((f, x) => f.select(x.get(), f.f32.const(1) as never, f.i32.const(1))).toThrow(
      "select: operand 2: expected i32, found f32",
    );
    fails((f, x) => x.set(f.f32.const(1) as never)).toThrow("local.set: operand 1: expected i32, found f32 (f32.const)");
  });

  test("wrong order", () => {
    fails((f, x) => {
      const b = f.i32.const(2);
      return f.drop(f.i32.sub(x.get(), b));
    }).toThrow("i32.sub: operand 2: expected i32 from i32.const, which is not on top; found i32 (local.get) on top");
  });

  test("a token used twice, or never made here", () => {
    fails((f, x) => {
      const a = x.get();
      return f.drop(f.i32.mul(a, a));
    }).toThrow("i32.mul: operand 1: expected i32 from local.get, which is not on the stack");
    fails((f) => f.drop(f.i32.eqz(undefined as never))).toThrow("i32.eqz: operand 1: expected i32, found nothing");
    fails((f) => f.drop(f.i32.eqz(5 as never))).toThrow("i32.eqz: operand 1: expected i32, found 5");
  });

  test("operands from outside the block", () => {
    fails((f, x) => {
      const a = x.get();
      f.block(() => f.drop(a));
    }).toThrow("drop: operand 1: expected i32 from local.get, which lies outside this block; found nothing on top");
  });

  test("missing and leftover values", () => {
    fails(() => undefined, ["i32"]).toThrow("end of function: operand 1: expected i32, found nothing");
    fails((f, x) => f.block("f32", () => x.get() as never)).toThrow("end of block: operand 1: expected f32, found i32");
    fails((_f, x) => {
      x.get();
    }).toThrow("end of function: expected no further values, found i32 (local.get); drop what is not used");
    fails((f, x) => f.loop(() => x.get())).toThrow("end of loop: expected no further values");
    fails((f, x) => f.if("i32", x.get(), () => f.i32.const(1), (() => undefined) as never), ["i32"]).toThrow(
      "end of else: operand 1: expected i32, found nothing",
    );
    fails((f, x) => {
      f.return();
      x.get();
    }).toThrow("expected no further values");
  });

  test("branches", () => {
    fails((f) => {
      let outer: never;
      f.block((label) => {
        outer = label as never;
      });
      f.br(outer! as never);
    }).toThrow("br: its target, a block, does not enclose it");
    fails((f) => f.block("i32", (label) => f.br(label as never))).toThrow("br: operand 1: expected i32, found nothing");
    fails((f, x) => f.loop((again) => f.br(again as never, x.get() as never))).toThrow("br: its target, a loop, takes no value");
    fails((f, x) => f.return(x.get())).toThrow("return: the function has no result");
    fails((f) => f.return(f.f32.const(1)), ["i32"]).toThrow("return: operand 1: expected i32, found f32");
  });

  test("immediates", () => {
    fails((f, x) => f.drop(f.i32.load(x.get(), { align: 8 }))).toThrow("i32.load: alignment 8 is not a power of two up to 4");
    fails((f, x) => f.drop(f.i32.load(x.get(), { align: 3 }))).toThrow("alignment 3");
    fails((f, x) => f.drop(f.i32.load(x.get(), { align: 0 }))).toThrow("alignment 0");
    fails((f) => f.drop(f.i32x4.extract_lane(f.v128.const("i32x4", 0), 4))).toThrow("i32x4.extract_lane: lane 4 is not below 4");
    fails((f) => f.drop(f.v128.const("i32x4", [1, 2, 3]))).toThrow("v128.const: v128.const i32x4: expected 4 lanes, found 3");
    fails((f) => f.drop(f.v128.const("i8x16", 256))).toThrow("lane 0 is 256");
    fails((f) => f.drop(f.i8x16.shuffle(f.v128.const("i8x16", 0), f.v128.const("i8x16", 0), [1, 2]))).toThrow(
      "expected 16 lanes",
    );
    fails((f) => f.drop(f.i32.const(1.5))).toThrow("1.5 is not an i32");
  });

  test("locals and calls", () => {
    const m = new ModuleBuilder();
    let foreign: Local<"i32"> | undefined;
    const callee = m.func("callee", { params: ["i32"] }, (_f, x) => {
      foreign = x;
    });
    fails((f) => f.drop(f.local.get(foreign as Local<"i32">))).toThrow("local.get: the local belongs to function 'callee'");
    expect(() => m.func("caller", {}, (f) => (f.call as (func: unknown) => void).call(f, callee))).toThrow(
      "call 'callee': expected 1 arguments, found 0",
    );
    expect(() => m.func("caller", {}, (f) => f.call(callee, f.f32.const(1) as never))).toThrow(
      "function 'caller': call 'callee': operand 1: expected i32, found f32",
    );
  });
});

test("misuse does not compile", () => {
  // Only the compiler reads this function: each line below must be a type error.
  const unused = (f: FuncBuilder, x: Local<"i32">, v: Local<"v128">) => {
    // @ts-expect-error f32 where i32 is expected
    f.i32.add(x.get(), f.f32.const(1));
    // @ts-expect-error a scalar where a vector is expected
    f.i32x4.add(v.get(), x.get());
    // @ts-expect-error a missing operand
    f.i32.add(x.get());
    // @ts-expect-error a missing lane
    f.i32x4.extract_lane(v.get());
    // @ts-expect-error a value of another type than the local
    v.set(x.get());
    // @ts-expect-error a store gives no token
    f.drop(f.i32.store(x.get(), x.get()));
    const arm = () => v.get();
    // @ts-expect-error the arms of an if must agree
    f.if("i32", x.get(), () => x.get(), arm);
    // @ts-expect-error atomics have no alignment
    f.i32.atomic.load(x.get(), { align: 1 });
    const sum: Val<"i32"> = f.i32x4.extract_lane(f.v128.load(x.get()), 0);
    return sum;
  };
  expect(unused).toBeTypeOf("function");
});
