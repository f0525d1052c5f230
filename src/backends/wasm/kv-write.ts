/**
 * Stores k and v of the step's tokens in their pages as f16. A layer's slot of a page: K [nHeadKv, 64, headDim], then V likewise, so
 * that attention reads one head's keys back to back.
 */
import type { KvLayer } from "../../graph/tensor.ts";
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import type { Val } from "../../wasm-asm/types.ts";
import { PAGE_TOKENS } from "../backend.ts";
import { f16Bits } from "./vector-math.ts";

/** Bytes of K, or of V, in one layer's slot of a page. */
export function halfSlotBytes(kv: KvLayer): number {
  return 2 * PAGE_TOKENS * kv.nHeadKv * kv.headDim;
}

/** Address of the page that holds `position`, from the page table that token entry `token` points to. */
export function loadPage(f: FuncBuilder, token: Local<"i32">, position: Local<"i32">): Val<"i32"> {
  const entry = f.i32.shl(f.i32.shr_u(position.get(), f.i32.const(Math.log2(PAGE_TOKENS))), f.i32.const(2));
  return f.i32.load(f.i32.add(entry, f.i32.load(token.get(), { offset: 4 })));
}

/**
 * Exports `name(begin, end, k, v, stride, tokens, slotOffset, fault)` over tokens. `tokens` [nTokens] holds {i32 position, i32 page table};
 * a page table holds the address of each page. A value that a half cannot hold sets the i32 at `fault`: read back it would be a number.
 */
export function emitKvWrite(m: ModuleBuilder, name: string, kv: KvLayer): void {
  const rowBytes = 2 * kv.headDim;
  m.func(
    name,
    { params: ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"], export: true },
    (f, begin, end, k, v, stride, tokens, slotOffset, fault) => {
      const [token, position, row] = [f.local("i32"), f.local("i32"), f.local("i32")];
      const tooLarge = f.local("v128");
      f.while(
        () => f.i32.lt_s(begin.get(), end.get()),
        () => {
          token.set(f.i32.add(tokens.get(), f.i32.shl(begin.get(), f.i32.const(3))));
          position.set(f.i32.load(token.get()));
          // row = page + slotOffset + (position % 64) · rowBytes
          row.set(f.i32.add(loadPage(f, token, position), slotOffset.get()));
          row.set(
            f.i32.add(row.get(), f.i32.mul(f.i32.and(position.get(), f.i32.const(PAGE_TOKENS - 1)), f.i32.const(rowBytes))),
          );
          for (const [source, offset] of [
            [k, 0],
            [v, halfSlotBytes(kv)],
          ] as const) {
            const from = f.local("i32", f.i32.add(source.get(), f.i32.mul(begin.get(), stride.get())));
            emitHeads(f, from, f.local("i32", f.i32.add(row.get(), f.i32.const(offset))), kv, tooLarge);
          }
          begin.set(f.i32.add(begin.get(), f.i32.const(1)));
        },
      );
      f.if(f.v128.any_true(tooLarge.get()), () => f.i32.store(fault.get(), f.i32.const(1)));
    },
  );
}

/** Every head's row of `from` to its place: heads lie 64 rows apart in a slot. */
function emitHeads(f: FuncBuilder, from: Local<"i32">, to: Local<"i32">, kv: KvLayer, tooLarge: Local<"v128">): void {
  const left = f.local("i32", f.i32.const(kv.nHeadKv));
  const [value, half] = [f.local("v128"), f.local("v128")];
  f.loop((again) => {
    for (let i = 0; i < kv.headDim; i += 4) {
      value.set(f.v128.load(from.get(), { offset: 4 * i }));
      half.set(f16Bits(f, value));
      // |x| ≥ 65520, infinity and NaN have no finite half
      const isTooLarge = f.i32x4.ge_s(
        f.v128.and(value.get(), f.v128.const("i32x4", 0x7fffffff)),
        f.v128.const("i32x4", 0x477ff000),
      );
      tooLarge.set(f.v128.or(isTooLarge, tooLarge.get()));
      f.v128.store64_lane(to.get(), f.i16x8.narrow_i32x4_u(half.get(), half.get()), 0, { offset: 2 * i });
    }
    from.set(f.i32.add(from.get(), f.i32.const(4 * kv.headDim)));
    to.set(f.i32.add(to.get(), f.i32.const(2 * kv.headDim * PAGE_TOKENS)));
    left.set(f.i32.sub(left.get(), f.i32.const(1)));
    f.br_if(again, left.get());
  });
}
