import { describe, expect, test } from "vitest";
import wabt from "wabt";
import { ModuleBuilder } from "./module-builder.ts";

function instantiate(m: ModuleBuilder, imports: WebAssembly.Imports = {}): WebAssembly.Exports {
  return new WebAssembly.Instance(new WebAssembly.Module(m.build()), imports).exports;
}

test("an empty module", () => {
  expect(WebAssembly.validate(new ModuleBuilder().build())).toBe(true);
});

test("a vector dot product runs on an imported memory", () => {
  const m = new ModuleBuilder();
  m.importMemory("env", "memory", { initial: 1, maximum: 65536 });
  m.func("dot", { params: ["i32", "i32", "i32"], results: ["f32"], export: true }, (f, x, y, n) => {
    const acc = f.local("v128");
    const end = f.local("i32", f.i32.add(x.get(), f.i32.shl(n.get(), f.i32.const(2))));
    f.loop((again) => {
      acc.set(f.f32x4.add(acc.get(), f.f32x4.mul(f.v128.load(x.get()), f.v128.load(y.get()))));
      x.set(f.i32.add(x.get(), f.i32.const(16)));
      y.set(f.i32.add(y.get(), f.i32.const(16)));
      f.br_if(again, f.i32.lt_u(x.get(), end.get()));
    });
    const low = f.f32.add(f.f32x4.extract_lane(acc.get(), 0), f.f32x4.extract_lane(acc.get(), 1));
    return f.f32.add(low, f.f32.add(f.f32x4.extract_lane(acc.get(), 2), f.f32x4.extract_lane(acc.get(), 3)));
  });
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
  new Float32Array(memory.buffer, 0, 16).set([1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 1, 1, 2, 2, 2, 2]);
  const { dot } = instantiate(m, { env: { memory } }) as { dot: (x: number, y: number, n: number) => number };
  expect(dot(0, 32, 8)).toBe(10 + 52);
});

test("imports, calls, recursion, tables and start", () => {
  const m = new ModuleBuilder("demo");
  const log = m.importFunc("env", "log", { params: ["i32"] });
  const base = m.importGlobal("env", "base", "i32");
  const factorial = m.declare("factorial", { params: ["i32"], results: ["i32"], export: true });
  const count = m.global("i32", { mutable: true, init: -5, export: "count" });
  const main = m.func("main", {}, (f) => {
    f.global.set(count, f.i32.add(f.global.get(count), f.global.get(base)));
    f.call(log, f.call(factorial, f.i32.const(5)));
  });
  m.define(factorial, (f, n) =>
    f.if(
      "i32",
      f.i32.eqz(n.get()),
      () => f.i32.const(1),
      () => f.i32.mul(n.get(), f.call(factorial, f.i32.sub(n.get(), f.i32.const(1)))),
    ),
  );
  const square = m.func("square", { params: ["i32"], results: ["i32"] }, (f, x) => f.i32.mul(x.get(), x.get()));
  const table = m.table([factorial, square], { export: "table" });
  m.func("pick", { params: ["i32", "i32"], results: ["i32"], export: "choose" }, (f, which, x) =>
    f.call_indirect(table, { params: ["i32"], results: ["i32"] }, x.get(), which.get()),
  );
  m.start(main);
  const logged: number[] = [];
  const exports = instantiate(m, { env: { log: (x: number) => logged.push(x), base: 7 } });
  expect(logged).toEqual([120]);
  expect((exports["count"] as WebAssembly.Global).value).toBe(2);
  const choose = exports["choose"] as (which: number, x: number) => number;
  expect([choose(0, 4), choose(1, 4)]).toEqual([24, 16]);
  expect(() => choose(2, 1)).toThrow(WebAssembly.RuntimeError);
  expect((exports["table"] as WebAssembly.Table).length).toBe(2);
});

test("globals of every type", () => {
  const m = new ModuleBuilder();
  m.global("i64", { init: -(2n ** 63n), export: "i64" });
  m.global("f32", { init: 0.5, export: "f32" });
  m.global("f64", { export: "f64" });
  const lanes = m.global("v128", { init: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16] });
  m.func("lane", { results: ["i32"], export: true }, (f) => f.i8x16.extract_lane_u(f.global.get(lanes), 9));
  const exports = instantiate(m);
  expect(["i64", "f32", "f64"].map((name) => (exports[name] as WebAssembly.Global).value)).toEqual([-(2n ** 63n), 0.5, 0]);
  expect((exports["lane"] as () => number)()).toBe(10);
});

test("data segments and a shared memory", () => {
  const m = new ModuleBuilder();
  m.importMemory("env", "memory", { initial: 1, maximum: 4, shared: true });
  m.data(100, new Uint8Array([1, 2, 3, 4]));
  m.data(65532, new Uint8Array([9]));
  m.func("load", { params: ["i32"], results: ["i32"], export: true }, (f, at) => f.i32.atomic.load(at.get()));
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 4, shared: true });
  const { load } = instantiate(m, { env: { memory } }) as { load: (at: number) => number };
  expect([load(100), load(65532)]).toEqual([0x0403_0201, 9]);
  expect(() => load(101)).toThrow(WebAssembly.RuntimeError);
});

test("4 GiB of memory can be declared and addressed unsigned", () => {
  const m = new ModuleBuilder();
  m.memory({ initial: 1, maximum: 65536 });
  m.data(0xffff_fff0, new Uint8Array(0));
  expect(WebAssembly.validate(m.build())).toBe(true);
});

test("the name section names module and functions", async () => {
  const m = new ModuleBuilder("kernels");
  m.importFunc("env", "log", { params: ["i32"] });
  m.func("gemv_i2_s", {}, (f) => f.nop());
  const { readWasm } = await wabt();
  const module = readWasm(m.build(), { readDebugNames: true });
  module.applyNames();
  const text = module.toText({});
  module.destroy();
  expect(text).toContain("(module $kernels");
  expect(text).toContain("(func $gemv_i2_s");
  expect(text).toContain("$log");
  const m2 = new ModuleBuilder();
  m2.func("trap_here", { export: "run" }, (f) => void f.unreachable());
  try {
    (instantiate(m2)["run"] as () => void)();
    expect.unreachable();
  } catch (error) {
    expect((error as Error).stack).toContain("trap_here");
  }
});

describe("mistakes", () => {
  test("imports after functions and globals", () => {
    const m = new ModuleBuilder();
    m.func("f", {}, (f) => f.nop());
    expect(() => m.importFunc("env", "late", {})).toThrow("import of function 'late' after the first function");
    m.global("i32");
    expect(() => m.importGlobal("env", "late", "i32")).toThrow("import of global 'late' after the first global");
  });

  test("bodies", () => {
    const m = new ModuleBuilder();
    const log = m.importFunc("env", "log", {});
    const ahead = m.declare("ahead", {});
    expect(() => m.build()).toThrow("function 'ahead' is declared but has no body");
    expect(() => m.define(log, (f) => f.nop())).toThrow("function 'log' is imported");
    m.define(ahead, (f) => f.nop());
    expect(() => m.define(ahead, (f) => f.nop())).toThrow("function 'ahead' has a body already");
    expect(() => new ModuleBuilder().define(ahead, (f) => f.nop())).toThrow("function 'ahead' is of another module");
  });

  test("memory, exports, globals, results", () => {
    const m = new ModuleBuilder();
    expect(() => m.memory({ initial: 1, shared: true })).toThrow("a shared memory needs a maximum");
    expect(() => m.memory({ initial: 2, maximum: 1 })).toThrow("memory of 2..1 pages");
    expect(() => m.memory({ initial: 1, maximum: 65537 })).toThrow("at most 65536");
    m.memory({ initial: 1, export: "memory" });
    expect(() => m.importMemory("env", "memory", { initial: 1 })).toThrow("a second memory");
    expect(() => m.func("memory", { export: true }, (f) => f.nop())).toThrow("export 'memory' exists already");
    const constant = m.global("i32", { init: 3 });
    expect(() => m.func("set", {}, (f) => f.global.set(constant as never, f.i32.const(1)))).toThrow("global 0 is immutable");
    expect(() => m.declare("two", { results: ["i32", "i32"] })).toThrow("2 results; at most one");
  });
});
