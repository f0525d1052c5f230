/**
 * Rotates each head of a row in place by the cosines and sines of its position: (a, b) → (a cos − b sin, a sin + b cos).
 * The tables [nTokens][cos nPairs, sin nPairs] are made once per step from exact arithmetic (rope-table.ts), so every engine has the same.
 */
import type { RopeStyle } from "../../graph/ops.ts";
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";

export interface RopeShape {
  readonly style: RopeStyle;
  readonly nPairs: number;
  readonly headDim: number;
  readonly nHeads: number;
}

/** Exports `name(begin, end, x, out, stride, table)` over tokens. */
export function emitRope(m: ModuleBuilder, name: string, shape: RopeShape): void {
  const { nPairs, headDim, nHeads } = shape;
  m.func(name, { params: ["i32", "i32", "i32", "i32", "i32", "i32"], export: true }, (f, begin, end, x, out, stride, table) => {
    const [row, tab, head, headEnd] = [f.local("i32"), f.local("i32"), f.local("i32"), f.local("i32")];
    f.while(
      () => f.i32.lt_s(begin.get(), end.get()),
      () => {
        row.set(f.i32.add(out.get(), f.i32.mul(begin.get(), stride.get())));
        tab.set(f.i32.add(table.get(), f.i32.mul(begin.get(), f.i32.const(8 * nPairs))));
        f.memory.copy(row.get(), f.i32.add(x.get(), f.i32.mul(begin.get(), stride.get())), stride.get());
        head.set(row.get());
        headEnd.set(f.i32.add(row.get(), f.i32.const(4 * headDim * nHeads)));
        f.loop((again) => {
          if (shape.style === "neox") emitNeox(f, head, tab, nPairs);
          else emitPairs(f, head, tab, nPairs);
          head.set(f.i32.add(head.get(), f.i32.const(4 * headDim)));
          f.br_if(again, f.i32.lt_u(head.get(), headEnd.get()));
        });
        begin.set(f.i32.add(begin.get(), f.i32.const(1)));
      },
    );
  });
}

/** Pairs (i, i + nPairs): four at once, then one by one. */
function emitNeox(f: FuncBuilder, head: Local<"i32">, table: Local<"i32">, nPairs: number): void {
  const [a, b, c, s] = [f.local("v128"), f.local("v128"), f.local("v128"), f.local("v128")];
  let i = 0;
  for (; i + 4 <= nPairs; i += 4) {
    a.set(f.v128.load(head.get(), { offset: 4 * i }));
    b.set(f.v128.load(head.get(), { offset: 4 * (i + nPairs), align: 4 }));
    c.set(f.v128.load(table.get(), { offset: 4 * i, align: 4 }));
    s.set(f.v128.load(table.get(), { offset: 4 * (i + nPairs), align: 4 }));
    f.v128.store(head.get(), f.f32x4.sub(f.f32x4.mul(a.get(), c.get()), f.f32x4.mul(b.get(), s.get())), { offset: 4 * i });
    f.v128.store(head.get(), f.f32x4.add(f.f32x4.mul(a.get(), s.get()), f.f32x4.mul(b.get(), c.get())), {
      offset: 4 * (i + nPairs),
      align: 4,
    });
  }
  for (; i < nPairs; i++) emitOne(f, head, table, nPairs, i, i, i + nPairs);
}

/** Pairs (2i, 2i + 1): two at once as [a0, b0, a1, b1] · [c0, c0, c1, c1] + [b0, a0, b1, a1] · [−s0, s0, −s1, s1]. */
function emitPairs(f: FuncBuilder, head: Local<"i32">, table: Local<"i32">, nPairs: number): void {
  const [v, c, s] = [f.local("v128"), f.local("v128"), f.local("v128")];
  const doubled = [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7];
  const swapped = [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11];
  let i = 0;
  for (; i + 2 <= nPairs; i += 2) {
    v.set(f.v128.load(head.get(), { offset: 8 * i }));
    c.set(f.v128.load64_zero(table.get(), { offset: 4 * i, align: 4 }));
    s.set(f.v128.load64_zero(table.get(), { offset: 4 * (i + nPairs), align: 4 }));
    s.set(f.v128.xor(f.i8x16.shuffle(s.get(), s.get(), doubled), f.v128.const("i32x4", [1 << 31, 0, 1 << 31, 0])));
    const straight = f.f32x4.mul(v.get(), f.i8x16.shuffle(c.get(), c.get(), doubled));
    const crossed = f.f32x4.mul(f.i8x16.shuffle(v.get(), v.get(), swapped), s.get());
    const rotated = f.local("v128", f.f32x4.add(straight, crossed));
    f.v128.store(head.get(), rotated.get(), { offset: 8 * i });
  }
  for (; i < nPairs; i++) emitOne(f, head, table, nPairs, i, 2 * i, 2 * i + 1);
}

/** One pair: values at `first` and `second` by angle i. */
function emitOne(
  f: FuncBuilder,
  head: Local<"i32">,
  table: Local<"i32">,
  nPairs: number,
  i: number,
  first: number,
  second: number,
): void {
  const a = f.local("f32", f.f32.load(head.get(), { offset: 4 * first }));
  const b = f.local("f32", f.f32.load(head.get(), { offset: 4 * second }));
  const c = f.local("f32", f.f32.load(table.get(), { offset: 4 * i }));
  const s = f.local("f32", f.f32.load(table.get(), { offset: 4 * (i + nPairs) }));
  f.f32.store(head.get(), f.f32.sub(f.f32.mul(a.get(), c.get()), f.f32.mul(b.get(), s.get())), { offset: 4 * first });
  f.f32.store(head.get(), f.f32.add(f.f32.mul(a.get(), s.get()), f.f32.mul(b.get(), c.get())), { offset: 4 * second });
}
