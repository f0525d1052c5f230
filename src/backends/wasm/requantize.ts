/**
 * Makes the Q8_0 copy of a float matrix at load, from rows as the file has them straight into panels. The same rounding as
 * quant/q8_0.ts (d = absmax / 127 in f16, half away from zero), some ten times as fast: the head of a 128k vocabulary has 328 M weights.
 */
import { BLOCK32 } from "../../quant/activations.ts";
import { type FloatPanel, type IntPanel, PANEL_ROWS } from "../../quant/panel.ts";
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import { f16Bits, maxF32x4 } from "./vector-math.ts";

/**
 * Exports `name(source, nRows, nBlocks, out) → i32`: 1 where a value is not finite. `source` holds whole rows; `out` is the first panel,
 * where rows that are missing from the last panel stay as they are.
 */
export function emitRequantizeQ8(m: ModuleBuilder, name: string, from: FloatPanel, to: IntPanel): void {
  const elementBytes = from.blockBytes / PANEL_ROWS;
  m.func(name, { params: ["i32", "i32", "i32", "i32"], results: ["i32"], export: true }, (f, source, nRows, nBlocks, out) => {
    const i32 = () => f.local("i32");
    const [row, block, panel, target, ptr] = [i32(), i32(), i32(), i32(), i32()];
    const [max, differences, inverse, scale] = [f.local("v128"), f.local("v128"), f.local("v128"), f.local("v128")];
    const values = Array.from({ length: BLOCK32 / 4 }, () => f.local("v128"));
    const q = f.local("v128");
    const whole = f.local("v128");
    ptr.set(source.get());
    f.while(
      () => f.i32.lt_u(row.get(), nRows.get()),
      () => {
        // panel = out + row / 4 panels; target = the row's lane in its first block
        panel.set(f.i32.mul(f.i32.mul(f.i32.shr_u(row.get(), f.i32.const(2)), nBlocks.get()), f.i32.const(to.blockBytes)));
        panel.set(f.i32.add(panel.get(), out.get()));
        const lane = f.local("i32", f.i32.and(row.get(), f.i32.const(PANEL_ROWS - 1)));
        target.set(f.i32.add(panel.get(), f.i32.shl(lane.get(), f.i32.const(2))));
        block.set(f.i32.const(0));
        f.loop((again) => {
          max.set(f.v128.const("i32x4", 0));
          for (const value of values) {
            value.set(from.column(f, ptr));
            ptr.set(f.i32.add(ptr.get(), f.i32.const(4 * elementBytes)));
            // x − x is 0 for what is finite, NaN else
            differences.set(f.f32x4.add(differences.get(), f.f32x4.sub(value.get(), value.get())));
            max.set(f.f32x4.max(max.get(), f.f32x4.abs(value.get())));
          }
          // d = absmax / 127; inverse = 1 / d, 0 for a block of zeros
          const d = f.local("f32", f.f32.div(maxF32x4(f, max), f.f32.const(127)));
          scale.set(f.f32x4.splat(d.get()));
          inverse.set(f.f32x4.div(f.v128.const("f32x4", 1), scale.get()));
          inverse.set(f.v128.and(inverse.get(), f.f32x4.ne(scale.get(), f.v128.const("f32x4", 0))));
          const scaleAddress = f.local("i32", f.i32.add(panel.get(), f.i32.shl(lane.get(), f.i32.const(1))));
          const half = f.local("v128", f16Bits(f, scale));
          f.v128.store16_lane(scaleAddress.get(), half.get(), 0);
          values.forEach((value, i) => {
            // q = trunc(x), one further from zero where |x − trunc(x)| ≥ 1/2
            value.set(f.f32x4.mul(value.get(), inverse.get()));
            whole.set(f.f32x4.trunc(value.get()));
            const isHalf = f.f32x4.ge(f.f32x4.abs(f.f32x4.sub(value.get(), whole.get())), f.v128.const("f32x4", 0.5));
            const one = f.v128.or(f.v128.const("f32x4", 1), f.v128.and(value.get(), f.v128.const("i32x4", 1 << 31)));
            const step = f.local("v128", f.v128.and(isHalf, one));
            q.set(f.i32x4.trunc_sat_f32x4_s(f.f32x4.add(whole.get(), step.get())));
            q.set(f.i16x8.narrow_i32x4_s(q.get(), q.get()));
            q.set(f.i8x16.narrow_i16x8_s(q.get(), q.get()));
            f.v128.store32_lane(target.get(), q.get(), 0, { offset: to.vectorOffset + 16 * i });
          });
          panel.set(f.i32.add(panel.get(), f.i32.const(to.blockBytes)));
          target.set(f.i32.add(target.get(), f.i32.const(to.blockBytes)));
          block.set(f.i32.add(block.get(), f.i32.const(1)));
          f.br_if(again, f.i32.lt_u(block.get(), nBlocks.get()));
        });
        row.set(f.i32.add(row.get(), f.i32.const(1)));
      },
    );
    return f.v128.any_true(f.f32x4.ne(differences.get(), f.v128.const("f32x4", 0)));
  });
}
