/**
 * y = W · x for ternary weights in plain SIMD128, where an 8-bit multiplication is dear. Exact in int32, as every other variant.
 *
 * One token: byte-shuffle tables. A nibble of the panel is the codes of two columns, the sum s of those two activations is looked up for
 * 16 rows at once. s has 10 bits and a byte 8, so there are two tables, s = 23 · h + e with |e|, |h| ≤ 11.
 * Many tokens: a panel is decoded once into 16-bit lanes that hold two rows, (a − 1) + ((b − 1) << 14), so that one `i32x4.dot_i16x8_s`
 * multiplies 4 × 2 rows by 2 columns.
 *
 * Rows of x are `table-row` for one token, `wide-row` for many (row-form.ts).
 */
import type { TernaryPanel } from "../../quant/panel.ts";
import { PANEL_ROWS } from "../../quant/panel.ts";
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import type { Func, Val } from "../../wasm-asm/types.ts";
import { ROW_HEADER, TABLE_BYTES_PER_COLUMN } from "./row-form.ts";
import type { Variant } from "./variant.ts";

/** Columns of a panel block: byte p holds columns p, 32 + p, 64 + p, 96 + p at bits 6, 4, 2, 0. */
export const TERNARY_BLOCK = 128;
const BLOCK = TERNARY_BLOCK;
const BYTES_PER_ROW = BLOCK / 4;
/** s = 23 · h + e; the tables hold e + 11 and h + 11, which are 0..22. */
const BASE = 23;
const BIAS = 11;

/** Bytes of q as i16 and of the tables, per block. */
const WIDE_BYTES = 2 * BLOCK;
const TABLE_BYTES = TABLE_BYTES_PER_COLUMN * BLOCK;

/** Low and high interleave of 16-bit lanes. */
const LOW_16 = [0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23];
const HIGH_16 = LOW_16.map((lane) => lane + 8);
const LOW_8 = [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23];
const HIGH_8 = LOW_8.map((lane) => lane + 8);

export type TablesFunc = Func<readonly ["i32", "i32"], []>;

/** Emits `(row, nBlocks)`: the tables behind the i16 values of a row. For byte p: e, h of columns (96 + p, 64 + p), e, h of (32 + p, p). */
export function emitTernaryTables(m: ModuleBuilder): TablesFunc {
  return m.func("ternary_tables", { params: ["i32", "i32"] }, (f, row, nBlocks) => {
    const q = f.local("i32", f.i32.add(row.get(), f.i32.const(ROW_HEADER)));
    const table = f.local("i32", f.i32.add(q.get(), f.i32.mul(nBlocks.get(), f.i32.const(WIDE_BYTES))));
    const [product, low, high] = [f.local("v128"), f.local("v128"), f.local("v128")];
    const p = f.local("i32");
    f.loop((nextBlock) => {
      p.set(f.i32.const(0));
      f.loop((nextByte) => {
        [
          [96, 64],
          [32, 0],
        ].forEach(([first, second], nibble) => {
          // entry c0 + 4 c1 is (c0 − 1) · x0 + (c1 − 1) · x1; entries of code 3 are never read
          product.set(
            f.i16x8.mul(f.v128.load16_splat(q.get(), { offset: 2 * first! }), f.v128.const("i16x8", [-1, 0, 1, 0, -1, 0, 1, 0])),
          );
          high.set(
            f.v128.and(
              f.v128.load16_splat(q.get(), { offset: 2 * second! }),
              f.v128.const("i16x8", [-1, -1, -1, -1, 0, 0, 0, 0]),
            ),
          );
          low.set(f.i16x8.sub(product.get(), high.get()));
          high.set(f.i16x8.add(product.get(), high.get()));
          // h = round(s / 23)
          const quotients = [low, high].map((s) =>
            f.local("v128", f.i16x8.q15mulr_sat_s(s.get(), f.v128.const("i16x8", Math.round(2 ** 15 / BASE)))),
          );
          const rests = [low, high].map((s, i) =>
            f.local("v128", f.i16x8.sub(s.get(), f.i16x8.mul(quotients[i]!.get(), f.v128.const("i16x8", BASE)))),
          );
          [rests, quotients].forEach((pair, i) =>
            f.v128.store(
              table.get(),
              f.i8x16.add(f.i8x16.narrow_i16x8_s(pair[0]!.get(), pair[1]!.get()), f.v128.const("i8x16", BIAS)),
              { offset: 32 * nibble + 16 * i },
            ),
          );
        });
        q.set(f.i32.add(q.get(), f.i32.const(2)));
        table.set(f.i32.add(table.get(), f.i32.const(64)));
        f.br_if(nextByte, f.i32.lt_u(p.tee(f.i32.add(p.get(), f.i32.const(1))), f.i32.const(BYTES_PER_ROW)));
      });
      q.set(f.i32.add(q.get(), f.i32.const(WIDE_BYTES - 2 * BYTES_PER_ROW)));
      f.br_if(nextBlock, nBlocks.tee(f.i32.sub(nBlocks.get(), f.i32.const(1))));
    });
  });
}

/**
 * Panels that are walked side by side in a product with one token. They lie far apart and each gives a block in turn, since a core fetches
 * several streams ahead at once but only little of each; all read the same 2 KB of tables, which stay in the first-level cache. Measured on an
 * AVX-512 Xeon from DRAM, 10⁹ multiply-adds/s: 1 stream 21, 2 streams 29, 4 streams 33, 8 streams 32 (in cache 41 to 43); 4 streams that
 * give four blocks in turn 20.
 */
const STREAMS = [4, 2, 1];
/** Bytes of a row between two widenings: 8 lookups of at most 22 in a byte. */
const GROUP = 4;

const MATMUL_PARAMS = ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "f32", "i32"] as const;

/** Sums of one half of a panel: 16 rows. */
interface HalfSums {
  /** Packed sums of e and h, rows 2i + 256 · (2i + 1) mod 2^16, and those of odd rows. */
  readonly packed: readonly [Local<"v128">, Local<"v128">];
  readonly odd: readonly [Local<"v128">, Local<"v128">];
  readonly byte: readonly [Local<"v128">, Local<"v128">];
}

/** Exports `name(begin, end, nTokens = 1, x, xStride, w, y, yStride, nBlocks, scale, scratch)` as `emitMatmul` in matmul.ts. */
export function emitTernaryGemv(m: ModuleBuilder, name: string, panel: TernaryPanel, variant: Variant): void {
  const block = emitLookups(m, name, panel, variant);
  const panelGroups = panel.rows / PANEL_ROWS;
  const sumBytes = 16 * panelGroups;
  m.func(name, { params: MATMUL_PARAMS, export: true }, (f, begin, end, _n, x, _xs, w, y, _ys, nBlocks, scale, scratch) => {
    const i32 = () => f.local("i32");
    const [steps, apart, yApart, left, groups] = [i32(), i32(), i32(), i32(), i32()];
    const [wBase, wp, yBase, yp, tp, tables, sums, stream] = [i32(), i32(), i32(), i32(), i32(), i32(), i32(), i32()];
    const value = f.local("v128");
    const factor = f.local("v128", f.f32x4.splat(f.f32.div(scale.get(), f.f32.load(x.get()))));
    const bias = f.local("v128", f.i32x4.splat(f.i32.mul(nBlocks.get(), f.i32.const(-(BLOCK / 2) * BIAS * (BASE + 1)))));
    const panelBytes = f.local("i32", f.i32.mul(nBlocks.get(), f.i32.const(panel.blockBytes)));
    tables.set(f.i32.add(f.i32.add(x.get(), f.i32.const(ROW_HEADER)), f.i32.mul(nBlocks.get(), f.i32.const(WIDE_BYTES))));
    wBase.set(f.i32.add(f.i32.mul(f.i32.div_u(begin.get(), f.i32.const(panelGroups)), panelBytes.get()), w.get()));
    yBase.set(f.i32.add(y.get(), f.i32.shl(begin.get(), f.i32.const(4))));
    /** 4-row groups from yBase to the end. */
    groups.set(f.i32.sub(end.get(), begin.get()));

    for (const nStreams of STREAMS) {
      // steps = whole panels that are left / nStreams; the last panel may have fewer rows
      const panels = f.i32.div_s(f.i32.add(groups.get(), f.i32.const(panelGroups - 1)), f.i32.const(panelGroups));
      steps.set(f.i32.div_s(panels, f.i32.const(nStreams)));
      apart.set(f.i32.mul(steps.get(), panelBytes.get()));
      yApart.set(f.i32.mul(steps.get(), f.i32.const(sumBytes)));
      f.while(
        () => steps.get(),
        () => {
          for (let i = 0; i < nStreams * panelGroups; i++) f.v128.store(scratch.get(), bias.get(), { offset: 16 * i });
          left.set(nBlocks.get());
          tp.set(tables.get());
          wp.set(wBase.get());
          f.loop((nextBlock) => {
            const at = f.local("i32", wp.get());
            sums.set(scratch.get());
            stream.set(f.i32.const(nStreams));
            f.loop((nextStream) => {
              f.call(block, at.get(), tp.get(), sums.get());
              at.set(f.i32.add(at.get(), apart.get()));
              sums.set(f.i32.add(sums.get(), f.i32.const(sumBytes)));
              f.br_if(nextStream, stream.tee(f.i32.sub(stream.get(), f.i32.const(1))));
            });
            wp.set(f.i32.add(wp.get(), f.i32.const(panel.blockBytes)));
            tp.set(f.i32.add(tp.get(), f.i32.const(TABLE_BYTES)));
            f.br_if(nextBlock, left.tee(f.i32.sub(left.get(), f.i32.const(1))));
          });
          yp.set(yBase.get());
          for (let s = 0; s < nStreams; s++) {
            for (let i = 0; i < panelGroups; i++) {
              // y has this vector: yp + 16 i < y + 16 end
              const address = f.local("i32", f.i32.add(yp.get(), f.i32.const(16 * i)));
              const isThere = f.i32.lt_u(f.i32.shr_u(f.i32.sub(address.get(), y.get()), f.i32.const(4)), end.get());
              f.if(isThere, () => {
                value.set(f.f32x4.convert_i32x4_s(f.v128.load(scratch.get(), { offset: s * sumBytes + 16 * i })));
                value.set(f.f32x4.mul(value.get(), factor.get()));
                f.v128.store(address.get(), value.get());
              });
            }
            yp.set(f.i32.add(yp.get(), yApart.get()));
          }
          wBase.set(f.i32.add(wBase.get(), panelBytes.get()));
          yBase.set(f.i32.add(yBase.get(), f.i32.const(sumBytes)));
          groups.set(f.i32.sub(groups.get(), f.i32.const(nStreams * panelGroups)));
          steps.set(f.i32.sub(steps.get(), f.i32.const(1)));
        },
      );
      // behind the last of the panels
      wBase.set(f.i32.add(wBase.get(), f.i32.mul(apart.get(), f.i32.const(nStreams - 1))));
      yBase.set(f.i32.add(yBase.get(), f.i32.mul(yApart.get(), f.i32.const(nStreams - 1))));
    }
  });
}

/** Emits `(w, tables, sums)`: the i32 `sums` of a panel's rows += what one of its blocks looks up, with its bias. */
function emitLookups(
  m: ModuleBuilder,
  name: string,
  panel: TernaryPanel,
  variant: Variant,
): Func<readonly ["i32", "i32", "i32"], []> {
  // an index is below 16, where both shuffles are the same; the relaxed one saves x86 a saturation
  const swizzle = variant === "relaxed-swizzle" ? "relaxed_swizzle" : "swizzle";
  return m.func(`${name}.block`, { params: ["i32", "i32", "i32"] }, (f, w, tables, sums) => {
    const pair = () => [f.local("v128"), f.local("v128")] as const;
    const halves: HalfSums[] = Array.from({ length: panel.rows / 16 }, () => ({ packed: pair(), odd: pair(), byte: pair() }));
    const code = halves.map(() => f.local("v128"));
    const index = halves.map(() => f.local("v128"));
    const table = f.local("v128");
    const end = f.local("i32", f.i32.add(tables.get(), f.i32.const(TABLE_BYTES)));
    f.loop((again) => {
      for (let p = 0; p < GROUP; p++) {
        code.forEach((c, i) => c.set(f.v128.load(w.get(), { offset: panel.rows * p + 16 * i, align: 1 })));
        for (const nibble of [0, 1]) {
          index.forEach((at, i) => {
            const bits = nibble === 0 ? code[i]!.get() : f.i16x8.shr_u(code[i]!.get(), f.i32.const(4));
            at.set(f.v128.and(bits, f.v128.const("i8x16", 15)));
          });
          for (const part of [0, 1] as const) {
            table.set(f.v128.load(tables.get(), { offset: 64 * p + 32 * nibble + 16 * part }));
            halves.forEach(({ byte }, i) => {
              const found = f.i8x16[swizzle](table.get(), index[i]!.get());
              byte[part].set(p === 0 && nibble === 0 ? found : f.i8x16.add(found, byte[part].get()));
            });
          }
        }
      }
      for (const { packed, odd, byte } of halves) {
        for (const part of [0, 1] as const) {
          packed[part].set(f.i16x8.add(packed[part].get(), byte[part].get()));
          odd[part].set(f.i16x8.add(odd[part].get(), f.i16x8.shr_u(byte[part].get(), f.i32.const(8))));
        }
      }
      w.set(f.i32.add(w.get(), f.i32.const(panel.rows * GROUP)));
      tables.set(f.i32.add(tables.get(), f.i32.const(64 * GROUP)));
      f.br_if(again, f.i32.lt_u(tables.get(), end.get()));
    });
    halves.forEach((half, i) => addRows(f, half, sums, 64 * i));
  });
}

/** 16 i32 at `sums` + `offset` += 23 · Σh + Σe. */
function addRows(f: FuncBuilder, { packed, odd }: HalfSums, sums: Local<"i32">, offset: number): void {
  const even = packed.map((sum, part) =>
    f.local("v128", f.i16x8.sub(sum.get(), f.i16x8.shl(odd[part as 0 | 1].get(), f.i32.const(8)))),
  );
  [LOW_16, HIGH_16].forEach((rows, i) => {
    // eight rows in order: even and odd ones interleaved
    const [e, h] = even.map((sum, part) => f.local("v128", f.i8x16.shuffle(sum.get(), odd[part as 0 | 1].get(), rows)));
    [LOW_16, HIGH_16].forEach((lanes, j) => {
      const both = f.i8x16.shuffle(e!.get(), h!.get(), lanes);
      const s = f.local("v128", f.i32x4.dot_i16x8_s(both, f.v128.const("i16x8", [1, BASE, 1, BASE, 1, BASE, 1, BASE])));
      const at = { offset: offset + 16 * (2 * i + j) };
      s.set(f.i32x4.add(f.v128.load(sums.get(), at), s.get()));
      f.v128.store(sums.get(), s.get(), at);
    });
  });
}

/** Columns between two splits of the packed sums: 64 · 127 = 8,128 < 2^13. */
const SPLIT = 64;
const MAX_TOKENS = 5;
/** Sums of a tile: per token and vector those of rows a and b. */
const TOTAL_BYTES = 4 * 16 * MAX_TOKENS;

/** Bytes of scratch for rows of `nCols`: a decoded panel and the sums of a tile. */
export const gemmScratchBytes = (panel: TernaryPanel, nCols: number) => TOTAL_BYTES + panel.rows * nCols;

/** Exports `name(begin, end, nTokens, x, xStride, w, y, yStride, nBlocks, scale, scratch)`, as `emitTernaryGemv` for any number of tokens. */
export function emitTernaryGemm(m: ModuleBuilder, name: string, panel: TernaryPanel): void {
  const decode = emitDecode(m, name, panel);
  const tiles = Array.from({ length: MAX_TOKENS }, (_, i) => MAX_TOKENS - i).map((nTokens) => ({
    nTokens,
    func: emitGemmTile(m, name, nTokens),
  }));
  m.func(
    name,
    { params: MATMUL_PARAMS, export: true },
    (f, begin, end, nTokens, x, xStride, w, y, yStride, nBlocks, scale, scratch) => {
      const i32 = () => f.local("i32");
      const [left, xt, yt] = [i32(), i32(), i32()];
      const buffer = f.local("i32", f.i32.add(scratch.get(), f.i32.const(TOTAL_BYTES)));
      f.while(
        () => f.i32.lt_s(begin.get(), end.get()),
        () => {
          const nth = f.i32.shr_u(begin.get(), f.i32.const(Math.log2(panel.rows / PANEL_ROWS)));
          const wp = f.i32.add(f.i32.mul(nth, f.i32.mul(nBlocks.get(), f.i32.const(panel.blockBytes))), w.get());
          f.call(decode, wp, nBlocks.get(), buffer.get());
          left.set(nTokens.get());
          xt.set(x.get());
          yt.set(f.i32.add(y.get(), f.i32.shl(begin.get(), f.i32.const(4))));
          for (const tile of tiles) {
            f.while(
              () => f.i32.ge_s(left.get(), f.i32.const(tile.nTokens)),
              () => {
                for (const half of [0, 1]) {
                  f.call(
                    tile.func,
                    f.i32.add(buffer.get(), f.i32.const(32 * half)),
                    xt.get(),
                    xStride.get(),
                    nBlocks.get(),
                    f.i32.add(yt.get(), f.i32.const(32 * half)),
                    yStride.get(),
                    f.i32.sub(f.i32.sub(end.get(), begin.get()), f.i32.const(2 * half)),
                    scale.get(),
                    scratch.get(),
                  );
                }
                xt.set(f.i32.add(xt.get(), f.i32.mul(xStride.get(), f.i32.const(tile.nTokens))));
                yt.set(f.i32.add(yt.get(), f.i32.mul(yStride.get(), f.i32.const(tile.nTokens))));
                left.set(f.i32.sub(left.get(), f.i32.const(tile.nTokens)));
              },
            );
          }
          begin.set(f.i32.add(begin.get(), f.i32.const(panel.rows / PANEL_ROWS)));
        },
      );
    },
  );
}

/** `(w, nBlocks, out)`: for columns 2s, 2s + 1 four vectors at 64 s; vector v, 32-bit lane j: rows 4v + j and 16 + 4v + j. */
function emitDecode(m: ModuleBuilder, name: string, panel: TernaryPanel): Func<readonly ["i32", "i32", "i32"], []> {
  return m.func(`${name}.decode`, { params: ["i32", "i32", "i32"] }, (f, w, nBlocks, out) => {
    const v = () => f.local("v128");
    const [a, b] = [
      [v(), v()],
      [v(), v()],
    ];
    const pairs = [
      [v(), v()],
      [v(), v()],
    ];
    const at = f.local("i32");
    f.loop((nextBlock) => {
      at.set(f.i32.const(BYTES_PER_ROW / 2));
      f.loop((again) => {
        for (const i of [0, 1]) {
          a![i]!.set(f.v128.load(w.get(), { offset: panel.rows * i, align: 1 }));
          b![i]!.set(f.v128.load(w.get(), { offset: panel.rows * i + 16, align: 1 }));
        }
        for (let plane = 0; plane < 4; plane++) {
          const shift = 6 - 2 * plane;
          for (const i of [0, 1]) {
            // code of a in bits 0, 1 of a byte, code of b in bits 6, 7; side by side they are a + (b << 14)
            const low = f.local("v128", f.v128.and(shifted(f, a![i]!, -shift), f.v128.const("i8x16", 0x03)));
            const high = f.local("v128", f.v128.and(shifted(f, b![i]!, 6 - shift), f.v128.const("i8x16", 0xc0 - 0x100)));
            [LOW_8, HIGH_8].forEach((lanes, k) =>
              pairs[k]![i]!.set(f.i16x8.sub(f.i8x16.shuffle(low.get(), high.get(), lanes), f.v128.const("i16x8", 0x4001))),
            );
          }
          pairs.forEach(([first, second], k) =>
            [LOW_16, HIGH_16].forEach((lanes, j) =>
              f.v128.store(out.get(), f.i8x16.shuffle(first!.get(), second!.get(), lanes), {
                offset: 1024 * plane + 32 * k + 16 * j,
              }),
            ),
          );
        }
        w.set(f.i32.add(w.get(), f.i32.const(2 * panel.rows)));
        out.set(f.i32.add(out.get(), f.i32.const(64)));
        f.br_if(again, at.tee(f.i32.sub(at.get(), f.i32.const(1))));
      });
      out.set(f.i32.add(out.get(), f.i32.const(3 * 1024)));
      f.br_if(nextBlock, nBlocks.tee(f.i32.sub(nBlocks.get(), f.i32.const(1))));
    });
  });
}

/** Each 16-bit lane shifted to the left, or to the right where `by` < 0. */
function shifted(f: FuncBuilder, value: Local<"v128">, by: number): Val<"v128"> {
  if (by === 0) return value.get();
  return by > 0 ? f.i16x8.shl(value.get(), f.i32.const(by)) : f.i16x8.shr_u(value.get(), f.i32.const(-by));
}

const TILE_PARAMS = ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "f32", "i32"] as const;
const UNROLL = 4;

/** `(decoded, x, xStride, nBlocks, y, yStride, nGroups, scale, totals)`: rows 0..7 and 16..23 of a panel, those that are there. */
function emitGemmTile(m: ModuleBuilder, name: string, nTokens: number): Func<typeof TILE_PARAMS, []> {
  return m.func(
    `${name}.tile${nTokens}`,
    { params: TILE_PARAMS },
    (f, decoded, x, xStride, nBlocks, y, yStride, nGroups, scale, totals) => {
      const xp = Array.from({ length: nTokens }, (_, t) =>
        f.local("i32", f.i32.add(f.i32.add(x.get(), f.i32.mul(xStride.get(), f.i32.const(t))), f.i32.const(ROW_HEADER))),
      );
      const sums = xp.map(() => [f.local("v128"), f.local("v128")]);
      const weights = [f.local("v128"), f.local("v128")];
      const splat = f.local("v128");
      const [steps, left] = [f.local("i32"), f.local("i32", f.i32.mul(nBlocks.get(), f.i32.const(BLOCK / SPLIT)))];
      const low = f.local("v128");
      const total = (t: number, v: number, part: number) => ({ offset: 16 * (4 * t + 2 * v + part) });
      for (let i = 0; i < 4 * nTokens; i++) f.v128.store(totals.get(), f.v128.const("i32x4", 0), { offset: 16 * i });
      f.loop((nextSplit) => {
        for (const sum of sums.flat()) sum.set(f.v128.const("i32x4", 0));
        steps.set(f.i32.const(SPLIT / 2 / UNROLL));
        f.loop((again) => {
          for (let u = 0; u < UNROLL; u++) {
            weights.forEach((weight, v) => weight.set(f.v128.load(decoded.get(), { offset: 64 * u + 16 * v })));
            xp.forEach((ptr, t) => {
              splat.set(f.v128.load32_splat(ptr.get(), { offset: 4 * u }));
              weights.forEach((weight, v) =>
                sums[t]![v]!.set(f.i32x4.add(f.i32x4.dot_i16x8_s(weight.get(), splat.get()), sums[t]![v]!.get())),
              );
            });
          }
          decoded.set(f.i32.add(decoded.get(), f.i32.const(64 * UNROLL)));
          for (const ptr of xp) ptr.set(f.i32.add(ptr.get(), f.i32.const(4 * UNROLL)));
          f.br_if(again, steps.tee(f.i32.sub(steps.get(), f.i32.const(1))));
        });
        // sum = A + (B << 14), |A| < 2^13
        sums.forEach((pair, t) =>
          pair.forEach((sum, v) => {
            low.set(f.i32x4.shr_s(f.i32x4.shl(sum.get(), f.i32.const(18)), f.i32.const(18)));
            sum.set(f.i32x4.shr_s(f.i32x4.sub(sum.get(), low.get()), f.i32.const(14)));
            [low, sum].forEach((part, i) => {
              part.set(f.i32x4.add(part.get(), f.v128.load(totals.get(), total(t, v, i))));
              f.v128.store(totals.get(), part.get(), total(t, v, i));
            });
          }),
        );
        f.br_if(nextSplit, left.tee(f.i32.sub(left.get(), f.i32.const(1))));
      });
      // y = f32(Σ) · (scale / xScale)
      for (let t = 0; t < nTokens; t++) {
        const factor = f.local("v128", f.f32x4.splat(f.f32.div(scale.get(), f.f32.load(x.get()))));
        for (const part of [0, 1]) {
          for (const v of [0, 1]) {
            f.if(f.i32.gt_s(nGroups.get(), f.i32.const(4 * part + v)), () => {
              low.set(f.v128.load(totals.get(), total(t, v, part)));
              low.set(f.f32x4.mul(f.f32x4.convert_i32x4_s(low.get()), factor.get()));
              f.v128.store(y.get(), low.get(), { offset: 64 * part + 16 * v });
            });
          }
        }
        x.set(f.i32.add(x.get(), xStride.get()));
        y.set(f.i32.add(y.get(), yStride.get()));
      }
    },
  );
}
