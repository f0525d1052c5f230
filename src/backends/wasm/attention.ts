/**
 * Causal attention over the paged cache with an online softmax (Milakov and Gimelshein, arXiv 1805.02867). A page of 64 keys is one
 * segment; segments are merged in order, so the result depends neither on how a prompt was cut into steps nor on who computes it.
 *
 * The heads that share a KV head are computed together: a row of K or V is read and widened from f16 once for up to four of them.
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

type ExpFunc = Func<["v128"], ["v128"]>;

/** Bytes of one head's scores of a page. */
const HEAD_SCORE_BYTES = 4 * PAGE_TOKENS;

/** Heads that are computed at once: with two sums each they fill half of x86's 16 vector registers. */
const BLOCK_HEADS = 4;

/** Bytes of scratch that one thread needs for `op`. */
export function scoreBytes(op: OpOf<"attention">): number {
  return HEAD_SCORE_BYTES * (op.nHead / op.kv.nHeadKv);
}

/** A head of the group that one KV head serves, with its softmax state. */
interface Head {
  /** Bytes from the group's first head to this one, in q and in out. */
  readonly offset: number;
  /** Bytes to its scores. */
  readonly scores: number;
  readonly max: Local<"f32">;
  readonly sum: Local<"f32">;
  readonly rescale: Local<"v128">;
}

/** Exports `name(begin, end, q, out, stride, tokens, slotOffset, scores)` over (token, KV head) pairs, token-major. */
export function emitAttention(m: ModuleBuilder, name: string, op: OpOf<"attention">, exp: ExpFunc): void {
  const { nHead, kv } = op;
  const { headDim } = kv;
  const groupSize = nHead / kv.nHeadKv;
  const params = ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"] as const;
  m.func(name, { params, export: true }, (f, begin, end, q, out, stride, tokens, slotOffset, scores) => {
    const i32 = () => f.local("i32");
    const [tokenIndex, kvHead, token, last, query, result] = [i32(), i32(), i32(), i32(), i32(), i32()];
    const [position, nKeys, keys, values] = [i32(), i32(), i32(), i32()];
    const heads = Array.from(
      { length: groupSize },
      (_, h): Head => ({
        offset: 4 * headDim * h,
        scores: HEAD_SCORE_BYTES * h,
        max: f.local("f32"),
        sum: f.local("f32"),
        rescale: f.local("v128"),
      }),
    );
    f.while(
      () => f.i32.lt_s(begin.get(), end.get()),
      () => {
        tokenIndex.set(f.i32.div_u(begin.get(), f.i32.const(kv.nHeadKv)));
        kvHead.set(f.i32.rem_u(begin.get(), f.i32.const(kv.nHeadKv)));
        token.set(f.i32.add(tokens.get(), f.i32.shl(tokenIndex.get(), f.i32.const(3))));
        last.set(f.i32.load(token.get()));
        const group = f.i32.mul(kvHead.get(), f.i32.const(4 * headDim * groupSize));
        const rowOffset = f.local("i32", f.i32.add(group, f.i32.mul(tokenIndex.get(), stride.get())));
        query.set(f.i32.add(q.get(), rowOffset.get()));
        result.set(f.i32.add(out.get(), rowOffset.get()));
        f.memory.fill(result.get(), f.i32.const(0), f.i32.const(4 * headDim * groupSize));
        for (const { max, sum } of heads) {
          max.set(f.f32.const(Number.NEGATIVE_INFINITY));
          sum.set(f.f32.const(0));
        }
        position.set(f.i32.const(0));
        f.loop((again) => {
          // keys = page + slotOffset + KV head · 64 rows; values likewise behind all keys
          keys.set(f.i32.add(loadPage(f, token, position), slotOffset.get()));
          keys.set(f.i32.add(f.i32.mul(kvHead.get(), f.i32.const(2 * headDim * PAGE_TOKENS)), keys.get()));
          values.set(f.i32.add(keys.get(), f.i32.const(halfSlotBytes(kv))));
          // nKeys = min(64, last − position + 1)
          nKeys.set(f.i32.add(f.i32.sub(last.get(), position.get()), f.i32.const(1)));
          nKeys.set(f.select(nKeys.get(), f.i32.const(PAGE_TOKENS), f.i32.lt_u(nKeys.get(), f.i32.const(PAGE_TOKENS))));
          for (let first = 0; first < groupSize; first += BLOCK_HEADS) {
            const block = heads.slice(first, first + BLOCK_HEADS);
            emitScores(f, block, query, keys, nKeys, scores, headDim, op.scale);
            for (const head of block) emitSoftmax(f, head, scores, nKeys, exp);
            emitValues(f, block, scores, values, nKeys, result, headDim);
          }
          position.set(f.i32.add(position.get(), f.i32.const(PAGE_TOKENS)));
          f.br_if(again, f.i32.le_u(position.get(), last.get()));
        });
        // out /= l
        const inverse = f.local("v128");
        for (const { offset, sum } of heads) {
          inverse.set(f.f32x4.splat(f.f32.div(f.f32.const(1), sum.get())));
          for (let at = offset; at < offset + 4 * headDim; at += 16) {
            f.v128.store(result.get(), f.f32x4.mul(f.v128.load(result.get(), { offset: at }), inverse.get()), { offset: at });
          }
        }
        begin.set(f.i32.add(begin.get(), f.i32.const(1)));
      },
    );
  });
}

/** scores[h][j] = scale · q[h]·K[j]; behind nKeys, up to a whole vector, −∞. */
function emitScores(
  f: FuncBuilder,
  block: readonly Head[],
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
  const nSums = sumsPerHead(block.length, nVectors);
  const sums = block.map(() => Array.from({ length: nSums }, () => f.local("v128")));
  const [k, score] = [f.local("v128"), f.local("f32")];
  f.loop((again) => {
    for (let i = 0; i < nVectors; i++) {
      k.set(loadF16x4(f, key.get(), 8 * i));
      block.forEach(({ offset }, h) => {
        const product = f.f32x4.mul(k.get(), f.v128.load(query.get(), { offset: offset + 16 * i }));
        const sum = sums[h]![i % nSums]!;
        sum.set(i < nSums ? product : f.f32x4.add(product, sum.get()));
      });
    }
    block.forEach((head, h) => {
      const own = sums[h]!;
      for (let width = nSums / 2; width >= 1; width /= 2) {
        for (let i = 0; i < width; i++) own[i]!.set(f.f32x4.add(own[i]!.get(), own[i + width]!.get()));
      }
      score.set(f.f32.mul(sumF32x4(f, own[0]!), f.f32.const(scale)));
      f.f32.store(at.get(), score.get(), { offset: head.scores });
    });
    at.set(f.i32.add(at.get(), f.i32.const(4)));
    key.set(f.i32.add(key.get(), f.i32.const(2 * headDim)));
    f.br_if(again, f.i32.lt_u(at.get(), end.get()));
  });
  f.while(
    () => f.i32.and(at.get(), f.i32.const(15)),
    () => {
      for (const head of block) f.f32.store(at.get(), f.f32.const(Number.NEGATIVE_INFINITY), { offset: head.scores });
      at.set(f.i32.add(at.get(), f.i32.const(4)));
    },
  );
}

/** Independent sums hide the latency of an addition: about eight in all, in whole divisions of a row. */
function sumsPerHead(nHeads: number, nVectors: number): number {
  const wanted = nHeads >= 3 ? 2 : 4;
  return nVectors % wanted === 0 ? wanted : nVectors % 2 === 0 ? 2 : 1;
}

/** scores = e^(scores − m'), m' the new maximum; l and the factor for what was mixed before follow. */
function emitSoftmax(f: FuncBuilder, head: Head, scores: Local<"i32">, nKeys: Local<"i32">, exp: ExpFunc): void {
  const { max, sum, rescale } = head;
  const newMax = f.local("f32", f.f32.max(max.get(), emitMax(f, head, scores, nKeys)));
  // · e^(m − m'), 0 in the first page
  rescale.set(f.call(exp, f.f32x4.splat(f.f32.sub(max.get(), newMax.get()))));
  sum.set(f.f32.mul(sum.get(), f.f32x4.extract_lane(rescale.get(), 0)));
  const total = f.local("v128", f.v128.const("i32x4", 0));
  const weights = f.local("v128");
  forScores(f, scores, nKeys, (at) => {
    weights.set(f.call(exp, f.f32x4.sub(f.v128.load(at.get(), { offset: head.scores }), f.f32x4.splat(newMax.get()))));
    f.v128.store(at.get(), weights.get(), { offset: head.scores });
    total.set(f.f32x4.add(total.get(), weights.get()));
  });
  sum.set(f.f32.add(sum.get(), sumF32x4(f, total)));
  max.set(newMax.get());
}

function emitMax(f: FuncBuilder, head: Head, scores: Local<"i32">, nKeys: Local<"i32">): Val<"f32"> {
  const max = f.local("v128", f.v128.const("f32x4", Number.NEGATIVE_INFINITY));
  forScores(f, scores, nKeys, (at) => max.set(f.f32x4.max(max.get(), f.v128.load(at.get(), { offset: head.scores }))));
  return maxF32x4(f, max);
}

/** Calls `body` with the address of each vector of the first nKeys scores of head 0. */
function forScores(f: FuncBuilder, scores: Local<"i32">, nKeys: Local<"i32">, body: (at: Local<"i32">) => void): void {
  const at = f.local("i32", scores.get());
  const end = f.local("i32", f.i32.add(scores.get(), f.i32.shl(nKeys.get(), f.i32.const(2))));
  f.loop((again) => {
    body(at);
    at.set(f.i32.add(at.get(), f.i32.const(16)));
    f.br_if(again, f.i32.lt_u(at.get(), end.get()));
  });
}

/** result[h] = result[h] · rescale[h] + Σ_j weights[h][j] · V[j], a few vectors of V at a time, so that all sums are in registers. */
function emitValues(
  f: FuncBuilder,
  block: readonly Head[],
  weights: Local<"i32">,
  values: Local<"i32">,
  nKeys: Local<"i32">,
  result: Local<"i32">,
  headDim: number,
): void {
  const [value, at, end] = [f.local("i32"), f.local("i32"), f.local("i32")];
  const v = f.local("v128");
  const splats = block.map(() => f.local("v128"));
  end.set(f.i32.add(weights.get(), f.i32.shl(nKeys.get(), f.i32.const(2))));
  const width = block.length >= 3 ? 2 : 4;
  for (let first = 0; first < headDim / 4; first += width) {
    const indices = Array.from({ length: Math.min(width, headDim / 4 - first) }, (_, i) => first + i);
    const cells = indices.map((index) => block.map(({ offset }) => ({ at: offset + 16 * index, sum: f.local("v128") })));
    cells.forEach((row) =>
      row.forEach((cell, h) =>
        cell.sum.set(f.f32x4.mul(f.v128.load(result.get(), { offset: cell.at }), block[h]!.rescale.get())),
      ),
    );
    value.set(values.get());
    at.set(weights.get());
    f.loop((again) => {
      block.forEach((head, h) => splats[h]!.set(f.v128.load32_splat(at.get(), { offset: head.scores })));
      indices.forEach((index, i) => {
        v.set(loadF16x4(f, value.get(), 8 * index));
        cells[i]!.forEach(({ sum }, h) => sum.set(f.f32x4.add(sum.get(), f.f32x4.mul(v.get(), splats[h]!.get()))));
      });
      value.set(f.i32.add(value.get(), f.i32.const(2 * headDim)));
      at.set(f.i32.add(at.get(), f.i32.const(4)));
      f.br_if(again, f.i32.lt_u(at.get(), end.get()));
    });
    for (const { at: offset, sum } of cells.flat()) f.v128.store(result.get(), sum.get(), { offset });
  }
}
