/**
 * Causal attention over the paged cache with an online softmax (Milakov and Gimelshein, arXiv 1805.02867). A page of 64 keys is one
 * segment; segments are merged in order, so the result depends neither on how a prompt was cut into steps nor on who computes it.
 *
 * Per (token, head): m = running maximum, l = Σ e^(s − m), out = Σ e^(s − m) V, rescaled when a page raises m.
 */
import type { OpOf } from "../../graph/ops.ts";
import { loadF16x4 } from "../../quant/panel.ts";
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import type { Func, Val } from "../../wasm-asm/types.ts";
import { PAGE_TOKENS } from "../backend.ts";
import { halfSlotBytes, loadPage } from "./kv-write.ts";
import { maxF32x4, sumF32x4 } from "./vector-math.ts";

/** Bytes of scratch that one caller needs: the scores of a page. */
export const SCORE_BYTES = 4 * PAGE_TOKENS;

/** V is accumulated this many vectors at a time, each in a register. */
const VALUE_VECTORS = 4;

/** Exports `name(begin, end, q, out, stride, tokens, slotOffset, scores)` over (token, head) pairs, token-major. */
export function emitAttention(m: ModuleBuilder, name: string, op: OpOf<"attention">, exp: Func<["v128"], ["v128"]>): void {
  const { nHead, kv } = op;
  const { headDim } = kv;
  const params = ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"] as const;
  m.func(name, { params, export: true }, (f, begin, end, q, out, stride, tokens, slotOffset, scores) => {
    const i32 = () => f.local("i32");
    const [tokenIndex, head, token, last, query, result] = [i32(), i32(), i32(), i32(), i32(), i32()];
    const [position, nKeys, keys, values] = [i32(), i32(), i32(), i32()];
    const [max, newMax, sum] = [f.local("f32"), f.local("f32"), f.local("f32")];
    const rescale = f.local("v128");
    f.while(
      () => f.i32.lt_s(begin.get(), end.get()),
      () => {
        tokenIndex.set(f.i32.div_u(begin.get(), f.i32.const(nHead)));
        head.set(f.i32.rem_u(begin.get(), f.i32.const(nHead)));
        token.set(f.i32.add(tokens.get(), f.i32.shl(tokenIndex.get(), f.i32.const(3))));
        last.set(f.i32.load(token.get()));
        const rowOffset = f.local(
          "i32",
          f.i32.add(f.i32.mul(tokenIndex.get(), stride.get()), f.i32.mul(head.get(), f.i32.const(4 * headDim))),
        );
        query.set(f.i32.add(q.get(), rowOffset.get()));
        result.set(f.i32.add(out.get(), rowOffset.get()));
        f.memory.fill(result.get(), f.i32.const(0), f.i32.const(4 * headDim));
        max.set(f.f32.const(Number.NEGATIVE_INFINITY));
        sum.set(f.f32.const(0));
        position.set(f.i32.const(0));
        f.loop((again) => {
          // keys = page + slotOffset + KV head · 64 rows; values likewise behind all keys
          keys.set(f.i32.add(loadPage(f, token, position), slotOffset.get()));
          const kvHead = f.i32.div_u(head.get(), f.i32.const(nHead / kv.nHeadKv));
          keys.set(f.i32.add(f.i32.mul(kvHead, f.i32.const(2 * headDim * PAGE_TOKENS)), keys.get()));
          values.set(f.i32.add(keys.get(), f.i32.const(halfSlotBytes(kv))));
          // nKeys = min(64, last − position + 1)
          nKeys.set(f.i32.add(f.i32.sub(last.get(), position.get()), f.i32.const(1)));
          nKeys.set(f.select(nKeys.get(), f.i32.const(PAGE_TOKENS), f.i32.lt_u(nKeys.get(), f.i32.const(PAGE_TOKENS))));

          emitScores(f, query, keys, nKeys, scores, headDim, op.scale);
          newMax.set(f.f32.max(max.get(), emitMax(f, scores, nKeys)));
          // out and sum so far were relative to max: · e^(max − newMax), 0 in the first page
          rescale.set(f.call(exp, f.f32x4.splat(f.f32.sub(max.get(), newMax.get()))));
          sum.set(f.f32.mul(sum.get(), f.f32x4.extract_lane(rescale.get(), 0)));
          sum.set(f.f32.add(sum.get(), emitWeights(f, scores, nKeys, newMax, exp)));
          emitValues(f, scores, values, nKeys, result, rescale, headDim);
          max.set(newMax.get());

          position.set(f.i32.add(position.get(), f.i32.const(PAGE_TOKENS)));
          f.br_if(again, f.i32.le_u(position.get(), last.get()));
        });
        // out /= sum
        const inverse = f.local("v128", f.f32x4.splat(f.f32.div(f.f32.const(1), sum.get())));
        for (let i = 0; i < headDim; i += 4) {
          f.v128.store(result.get(), f.f32x4.mul(f.v128.load(result.get(), { offset: 4 * i }), inverse.get()), { offset: 4 * i });
        }
        begin.set(f.i32.add(begin.get(), f.i32.const(1)));
      },
    );
  });
}

/** scores[j] = scale · q·K[j]; behind nKeys, up to a whole vector, −∞. */
function emitScores(
  f: FuncBuilder,
  query: Local<"i32">,
  keys: Local<"i32">,
  nKeys: Local<"i32">,
  scores: Local<"i32">,
  headDim: number,
  scale: number,
): void {
  const [key, at, end] = [f.local("i32", keys.get()), f.local("i32", scores.get()), f.local("i32")];
  end.set(f.i32.add(scores.get(), f.i32.shl(nKeys.get(), f.i32.const(2))));
  const nVectors = headDim / 4;
  // independent sums hide the latency of an addition
  const nSums = nVectors % 4 === 0 ? 4 : nVectors % 2 === 0 ? 2 : 1;
  const sums = Array.from({ length: nSums }, () => f.local("v128"));
  f.loop((again) => {
    for (let i = 0; i < nVectors; i++) {
      const product = f.f32x4.mul(loadF16x4(f, key.get(), 8 * i), f.v128.load(query.get(), { offset: 16 * i }));
      const sum = sums[i % nSums]!;
      if (i < nSums) sum.set(product);
      else sum.set(f.f32x4.add(product, sum.get()));
    }
    for (let width = nSums / 2; width >= 1; width /= 2) {
      for (let i = 0; i < width; i++) sums[i]!.set(f.f32x4.add(sums[i]!.get(), sums[i + width]!.get()));
    }
    const score = f.local("f32", f.f32.mul(sumF32x4(f, sums[0]!), f.f32.const(scale)));
    f.f32.store(at.get(), score.get());
    at.set(f.i32.add(at.get(), f.i32.const(4)));
    key.set(f.i32.add(key.get(), f.i32.const(2 * headDim)));
    f.br_if(again, f.i32.lt_u(at.get(), end.get()));
  });
  f.while(
    () => f.i32.and(at.get(), f.i32.const(15)),
    () => {
      f.f32.store(at.get(), f.f32.const(Number.NEGATIVE_INFINITY));
      at.set(f.i32.add(at.get(), f.i32.const(4)));
    },
  );
}

/** Calls `body` with the address of each vector of the first nKeys scores. */
function forScores(f: FuncBuilder, scores: Local<"i32">, nKeys: Local<"i32">, body: (at: Local<"i32">) => void): void {
  const at = f.local("i32", scores.get());
  const end = f.local("i32", f.i32.add(scores.get(), f.i32.shl(nKeys.get(), f.i32.const(2))));
  f.loop((again) => {
    body(at);
    at.set(f.i32.add(at.get(), f.i32.const(16)));
    f.br_if(again, f.i32.lt_u(at.get(), end.get()));
  });
}

function emitMax(f: FuncBuilder, scores: Local<"i32">, nKeys: Local<"i32">): Val<"f32"> {
  const max = f.local("v128", f.v128.const("f32x4", Number.NEGATIVE_INFINITY));
  forScores(f, scores, nKeys, (at) => max.set(f.f32x4.max(max.get(), f.v128.load(at.get()))));
  return maxF32x4(f, max);
}

/** scores[j] = e^(scores[j] − max); returns their sum. */
function emitWeights(
  f: FuncBuilder,
  scores: Local<"i32">,
  nKeys: Local<"i32">,
  max: Local<"f32">,
  exp: Func<["v128"], ["v128"]>,
): Val<"f32"> {
  const sum = f.local("v128", f.v128.const("i32x4", 0));
  const weights = f.local("v128");
  forScores(f, scores, nKeys, (at) => {
    weights.set(f.call(exp, f.f32x4.sub(f.v128.load(at.get()), f.f32x4.splat(max.get()))));
    f.v128.store(at.get(), weights.get());
    sum.set(f.f32x4.add(sum.get(), weights.get()));
  });
  return sumF32x4(f, sum);
}

/** result = result · rescale + Σ_j weights[j] · V[j] */
function emitValues(
  f: FuncBuilder,
  weights: Local<"i32">,
  values: Local<"i32">,
  nKeys: Local<"i32">,
  result: Local<"i32">,
  rescale: Local<"v128">,
  headDim: number,
): void {
  const [value, at, end, weight] = [f.local("i32"), f.local("i32"), f.local("i32"), f.local("v128")];
  end.set(f.i32.add(weights.get(), f.i32.shl(nKeys.get(), f.i32.const(2))));
  for (let first = 0; first < headDim / 4; first += VALUE_VECTORS) {
    const vectors = Array.from({ length: Math.min(VALUE_VECTORS, headDim / 4 - first) }, (_, i) => ({
      index: first + i,
      sum: f.local("v128"),
    }));
    for (const { index, sum } of vectors) sum.set(f.f32x4.mul(f.v128.load(result.get(), { offset: 16 * index }), rescale.get()));
    value.set(values.get());
    at.set(weights.get());
    f.loop((again) => {
      weight.set(f.v128.load32_splat(at.get()));
      for (const { index, sum } of vectors)
        sum.set(f.f32x4.add(f.f32x4.mul(loadF16x4(f, value.get(), 8 * index), weight.get()), sum.get()));
      value.set(f.i32.add(value.get(), f.i32.const(2 * headDim)));
      at.set(f.i32.add(at.get(), f.i32.const(4)));
      f.br_if(again, f.i32.lt_u(at.get(), end.get()));
    });
    for (const { index, sum } of vectors) f.v128.store(result.get(), sum.get(), { offset: 16 * index });
  }
}
