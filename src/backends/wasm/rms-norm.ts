/**
 * rmsNorm, quantize and their fusion, per row: out = x / sqrt(mean(x²) + eps) · weight, as f32 or rounded for a weight format.
 * The mean is summed in f64, as llama.cpp does; the fused form computes x · scale · weight twice instead of storing it, the same bits.
 */
import { BLOCK32, MIN_ABSMAX } from "../../quant/activations.ts";
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import type { Val } from "../../wasm-asm/types.ts";
import { type TablesFunc, TERNARY_BLOCK } from "./matmul-ternary.ts";
import { ROW_HEADER, type RowForm } from "./row-form.ts";
import { maxF32x4, sumI32x4 } from "./vector-math.ts";

/** Gives the f32x4 at byte `offset` of the current row. */
type LoadVector = (offset: Local<"i32">, extra?: number) => Val<"v128">;

/** Exports `name(begin, end, x, xStride, weight, out, outStride, nBytes, nCols)` over rows; nBytes = 4 · nCols rounded up to 16. */
export function emitRmsNorm(m: ModuleBuilder, name: string, eps: number, form: RowForm, tables: TablesFunc | null): void {
  const params = ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"] as const;
  m.func(name, { params, export: true }, (f, begin, end, x, xStride, weight, out, outStride, nBytes, nCols) => {
    const [row, target, scale] = [f.local("i32"), f.local("i32"), f.local("v128")];
    forRows(f, { begin, end, x, xStride, out, outStride, row, target }, () => {
      emitScale(f, row, nBytes, nCols, eps, scale);
      const normed: LoadVector = (offset, extra = 0) =>
        f.f32x4.mul(
          f.f32x4.mul(f.v128.load(f.i32.add(row.get(), offset.get()), { offset: extra }), scale.get()),
          f.v128.load(f.i32.add(weight.get(), offset.get()), { offset: extra }),
        );
      emitStore(f, form, target, nBytes, normed, tables);
    });
  });
}

/** Exports `name(begin, end, x, xStride, out, outStride, nBytes)` over rows. */
export function emitQuantize(m: ModuleBuilder, name: string, form: RowForm, tables: TablesFunc | null): void {
  m.func(
    name,
    { params: ["i32", "i32", "i32", "i32", "i32", "i32", "i32"], export: true },
    (f, begin, end, x, xStride, out, outStride, nBytes) => {
      const [row, target] = [f.local("i32"), f.local("i32")];
      forRows(f, { begin, end, x, xStride, out, outStride, row, target }, () => {
        const load: LoadVector = (offset, extra = 0) => f.v128.load(f.i32.add(row.get(), offset.get()), { offset: extra });
        emitStore(f, form, target, nBytes, load, tables);
      });
    },
  );
}

interface RowLoop {
  readonly begin: Local<"i32">;
  readonly end: Local<"i32">;
  readonly x: Local<"i32">;
  readonly xStride: Local<"i32">;
  readonly out: Local<"i32">;
  readonly outStride: Local<"i32">;
  readonly row: Local<"i32">;
  readonly target: Local<"i32">;
}

function forRows(f: FuncBuilder, loop: RowLoop, body: () => void): void {
  loop.row.set(f.i32.add(loop.x.get(), f.i32.mul(loop.begin.get(), loop.xStride.get())));
  loop.target.set(f.i32.add(loop.out.get(), f.i32.mul(loop.begin.get(), loop.outStride.get())));
  f.while(
    () => f.i32.lt_s(loop.begin.get(), loop.end.get()),
    () => {
      body();
      loop.row.set(f.i32.add(loop.row.get(), loop.xStride.get()));
      loop.target.set(f.i32.add(loop.target.get(), loop.outStride.get()));
      loop.begin.set(f.i32.add(loop.begin.get(), f.i32.const(1)));
    },
  );
}

/** for (offset = 0; offset < nBytes; offset += step) */
function forOffsets(f: FuncBuilder, nBytes: Local<"i32">, step: number, body: (offset: Local<"i32">) => void): void {
  const offset = f.local("i32", f.i32.const(0));
  f.while(
    () => f.i32.lt_u(offset.get(), nBytes.get()),
    () => {
      body(offset);
      offset.set(f.i32.add(offset.get(), f.i32.const(step)));
    },
  );
}

/** scale = splat(1 / sqrt(Σ x² / nCols + eps)) */
function emitScale(
  f: FuncBuilder,
  row: Local<"i32">,
  nBytes: Local<"i32">,
  nCols: Local<"i32">,
  eps: number,
  scale: Local<"v128">,
): void {
  const [low, high, v] = [f.local("v128", f.v128.const("i32x4", 0)), f.local("v128", f.v128.const("i32x4", 0)), f.local("v128")];
  const wide = f.local("v128");
  forOffsets(f, nBytes, 16, (offset) => {
    v.set(f.v128.load(f.i32.add(row.get(), offset.get())));
    wide.set(f.f64x2.promote_low_f32x4(v.get()));
    low.set(f.f64x2.add(low.get(), f.f64x2.mul(wide.get(), wide.get())));
    wide.set(
      f.f64x2.promote_low_f32x4(f.i8x16.shuffle(v.get(), v.get(), [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15])),
    );
    high.set(f.f64x2.add(high.get(), f.f64x2.mul(wide.get(), wide.get())));
  });
  low.set(f.f64x2.add(low.get(), high.get()));
  const sum = f.f64.add(f.f64x2.extract_lane(low.get(), 0), f.f64x2.extract_lane(low.get(), 1));
  const mean = f.f64.div(sum, f.f64.convert_i32_u(nCols.get()));
  const root = f.local("f64", f.f64.sqrt(f.f64.add(mean, f.f64.const(eps))));
  scale.set(f.f32x4.splat(f.f32.demote_f64(f.f64.div(f.f64.const(1), root.get()))));
}

function emitStore(
  f: FuncBuilder,
  form: RowForm,
  target: Local<"i32">,
  nBytes: Local<"i32">,
  load: LoadVector,
  tables: TablesFunc | null,
): void {
  switch (form) {
    case "f32":
      forOffsets(f, nBytes, 16, (offset) => {
        const at = f.local("i32", f.i32.add(target.get(), offset.get()));
        const value = f.local("v128", load(offset));
        f.v128.store(at.get(), value.get());
      });
      return;
    case "int8-row":
      emitInt8Row(f, target, nBytes, load, false);
      return;
    case "wide-row":
      emitInt8Row(f, target, nBytes, load, true);
      return;
    case "table-row":
      emitInt8Row(f, target, nBytes, load, true);
      f.call(tables!, target.get(), f.i32.shr_u(nBytes.get(), f.i32.const(Math.log2(4 * TERNARY_BLOCK))));
      return;
    case "int8-block32":
      emitInt8Block32(f, target, nBytes, load);
      return;
    default:
      throw new Error(form satisfies never);
  }
}

/** max |x| over all lanes of `max`. */
function trackMax(f: FuncBuilder, max: Local<"v128">, value: Val<"v128">): void {
  const abs = f.local("v128", f.f32x4.abs(value));
  max.set(f.f32x4.max(max.get(), abs.get()));
}

/** Four f32x4 at offset, +16, +32, +48, times `scale` → 16 rounded i8; `sum` += them. */
function roundSixteen(
  f: FuncBuilder,
  load: LoadVector,
  offset: Local<"i32">,
  extra: number,
  scale: Local<"v128">,
  sum: Local<"v128"> | null,
): Val<"v128"> {
  const quads = [0, 16, 32, 48].map((step) => {
    const quad = f.local(
      "v128",
      f.i32x4.trunc_sat_f32x4_s(f.f32x4.nearest(f.f32x4.mul(load(offset, extra + step), scale.get()))),
    );
    if (sum !== null) sum.set(f.i32x4.add(sum.get(), quad.get()));
    return quad;
  });
  return f.i8x16.narrow_i16x8_s(
    f.i16x8.narrow_i32x4_s(quads[0]!.get(), quads[1]!.get()),
    f.i16x8.narrow_i32x4_s(quads[2]!.get(), quads[3]!.get()),
  );
}

/**
 * [f32 scale, i32 sum, 8 bytes] q[nCols]: scale = 127 / max(absmax, 1e-5), q = nearest(x · scale), as i8 or as i16. |x · scale| is at most
 * 127 but for its rounding, so q is never −128. nCols is a multiple of 16.
 */
function emitInt8Row(f: FuncBuilder, target: Local<"i32">, nBytes: Local<"i32">, load: LoadVector, isWide: boolean): void {
  const max = f.local("v128", f.v128.const("i32x4", 0));
  forOffsets(f, nBytes, 16, (offset) => trackMax(f, max, load(offset)));
  const scalar = f.local("f32", f.f32.div(f.f32.const(127), f.f32.max(maxF32x4(f, max), f.f32.const(MIN_ABSMAX))));
  const scale = f.local("v128", f.f32x4.splat(scalar.get()));
  const sum = f.local("v128", f.v128.const("i32x4", 0));
  forOffsets(f, nBytes, 64, (offset) => {
    const q = f.local("v128", roundSixteen(f, load, offset, 0, scale, sum));
    const at = f.local("i32", f.i32.add(target.get(), f.i32.shr_u(offset.get(), f.i32.const(isWide ? 1 : 2))));
    if (isWide) {
      f.v128.store(at.get(), f.i16x8.extend_low_i8x16_s(q.get()), { offset: ROW_HEADER });
      f.v128.store(at.get(), f.i16x8.extend_high_i8x16_s(q.get()), { offset: ROW_HEADER + 16 });
    } else {
      f.v128.store(at.get(), q.get(), { offset: ROW_HEADER });
    }
  });
  f.f32.store(target.get(), scalar.get());
  f.i32.store(target.get(), sumI32x4(f, sum), { offset: 4 });
}

/** q[nCols] then f32 scales[nCols / 32]: scale = absmax / 127 per block, q = nearest(x · 127 / absmax). */
function emitInt8Block32(f: FuncBuilder, target: Local<"i32">, nBytes: Local<"i32">, load: LoadVector): void {
  const blockBytes = 4 * BLOCK32;
  const scalesAt = f.local("i32", f.i32.add(target.get(), f.i32.shr_u(nBytes.get(), f.i32.const(2))));
  const [max, scalar, inverse, scale] = [f.local("v128"), f.local("f32"), f.local("f32"), f.local("v128")];
  forOffsets(f, nBytes, blockBytes, (offset) => {
    max.set(f.v128.const("i32x4", 0));
    for (let extra = 0; extra < blockBytes; extra += 16) trackMax(f, max, load(offset, extra));
    scalar.set(maxF32x4(f, max));
    inverse.set(f.f32.div(f.f32.const(127), scalar.get()));
    // a block of zeros, or of values whose inverse overflows: all 0
    inverse.set(f.select(f.f32.const(0), inverse.get(), f.f32.eq(inverse.get(), f.f32.const(Number.POSITIVE_INFINITY))));
    scale.set(f.f32x4.splat(inverse.get()));
    for (let half = 0; half < 2; half++) {
      const q = f.local("v128", roundSixteen(f, load, offset, 64 * half, scale, null));
      f.v128.store(f.i32.add(target.get(), f.i32.shr_u(offset.get(), f.i32.const(2))), q.get(), { offset: 16 * half });
    }
    f.f32.store(f.i32.add(scalesAt.get(), f.i32.shr_u(offset.get(), f.i32.const(5))), f.f32.div(scalar.get(), f.f32.const(127)));
  });
}
