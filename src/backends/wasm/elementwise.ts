/** add, mul, activation and activation · up: one pass over whole vectors of rows that lie back to back. */
import type { ActivationFn } from "../../graph/ops.ts";
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import type { Func, Val } from "../../wasm-asm/types.ts";

type Combine = (f: FuncBuilder, a: Local<"v128">, b: Local<"v128">) => Val<"v128">;
export type ExpFunc = Func<["v128"], ["v128"]>;

/** Exports `name(begin, end, a, b, out)`: out = combine(a, b) for vectors [begin, end). */
export function emitBinary(m: ModuleBuilder, name: string, combine: Combine): void {
  m.func(name, { params: ["i32", "i32", "i32", "i32", "i32"], export: true }, (f, begin, end, a, b, out) => {
    const [va, vb] = [f.local("v128"), f.local("v128")];
    const at = f.local("i32");
    f.while(
      () => f.i32.lt_u(begin.get(), end.get()),
      () => {
        at.set(f.i32.shl(begin.get(), f.i32.const(4)));
        va.set(f.v128.load(f.i32.add(a.get(), at.get())));
        vb.set(f.v128.load(f.i32.add(b.get(), at.get())));
        const result = f.local("v128", combine(f, va, vb));
        f.v128.store(f.i32.add(out.get(), at.get()), result.get());
        begin.set(f.i32.add(begin.get(), f.i32.const(1)));
      },
    );
  });
}

export const add: Combine = (f, a, b) => f.f32x4.add(a.get(), b.get());
export const mul: Combine = (f, a, b) => f.f32x4.mul(a.get(), b.get());

/** fn(a) */
export function activation(fn: ActivationFn, exp: ExpFunc): Combine {
  return (f, a) => emitActivation(f, fn, exp, a);
}

/** fn(a) · b */
export function gated(fn: ActivationFn, exp: ExpFunc): Combine {
  return (f, a, b) => f.f32x4.mul(emitActivation(f, fn, exp, a), b.get());
}

function emitActivation(f: FuncBuilder, fn: ActivationFn, exp: ExpFunc, x: Local<"v128">): Val<"v128"> {
  switch (fn) {
    case "relu2": {
      // max(x, 0)²
      const positive = f.local("v128", f.f32x4.max(x.get(), f.v128.const("f32x4", 0)));
      return f.f32x4.mul(positive.get(), positive.get());
    }
    case "silu":
      // x / (1 + e^−x)
      return f.f32x4.div(x.get(), f.f32x4.add(f.v128.const("f32x4", 1), f.call(exp, f.f32x4.neg(x.get()))));
    default:
      throw new Error(fn satisfies never);
  }
}
