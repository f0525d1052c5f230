/**
 * y = W · x for every format: the micro-kernel generator. A tile is a few panels (4 rows each) × a few tokens, with all sums in
 * registers; a format gives the decoding of a vector, the variant gives the dot product. gemv is the tile with one token.
 *
 * Rows of x: `int8-row` = [f32 scale, i32 sum, 8 bytes] then q; `int8-block32` = q then f32 scales; `f32` = values.
 * The order of float operations per (row, token) does not depend on the tile, so prefill and decode give the same bits.
 */
import type { FloatPanel, IntPanel, Panel } from "../../quant/panel.ts";
import { PANEL_ROWS } from "../../quant/panel.ts";
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import type { Func } from "../../wasm-asm/types.ts";
import { createAccumulator, needsSplit } from "./dot.ts";
import type { Variant } from "./variant.ts";

/** Bytes in front of the values of an `int8-row` row. */
export const ROW_HEADER = 16;

interface Tile {
  readonly nPanels: number;
  readonly nTokens: number;
}

/**
 * Tiles per kind, largest first; each list must contain every combination of its sizes down to 1. Measured on AVX-VNNI and AVX-512: eight 32-bit
 * accumulators fill the dot units' latency, and x86 has 16 vector registers for them, the codes and the activations.
 */
function tilesFor(panel: Panel, variant: Variant): readonly Tile[] {
  const combine = (panels: readonly number[], tokens: readonly number[]) =>
    panels.flatMap((nPanels) => tokens.map((nTokens) => ({ nPanels, nTokens })));
  if (panel.kind === "float") return combine([2, 1], [2, 1]);
  if (variant === "plain") return combine([1], [2, 1]);
  return panel.codes === "unsigned" ? combine([2, 1], [4, 1]) : combine([2, 1], [2, 1]);
}

const TILE_PARAMS = ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "f32"] as const;
type TileFunc = Func<typeof TILE_PARAMS, []>;

/**
 * Exports `name(beginPanel, endPanel, nTokens, x, xStride, w, y, yStride, nBlocks, scale)`: rows [4·begin, 4·end) of y for all tokens.
 * Whole vectors are stored: a row of y is padded to a multiple of 4, where zero weights leave zeros.
 */
export function emitMatmul(m: ModuleBuilder, name: string, panel: Panel, variant: Variant): void {
  const tiles = tilesFor(panel, variant).map((tile) => ({
    ...tile,
    func: panel.kind === "int" ? emitIntTile(m, name, panel, variant, tile) : emitFloatTile(m, name, panel, tile),
  }));
  const panelCounts = [...new Set(tiles.map((tile) => tile.nPanels))];
  const params = ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "f32"] as const;
  m.func(name, { params, export: true }, (f, begin, end, nTokens, x, xStride, w, y, yStride, nBlocks, scale) => {
    const panelBytes = f.local("i32", f.i32.mul(nBlocks.get(), f.i32.const(panel.blockBytes)));
    const wp = f.local("i32", f.i32.add(w.get(), f.i32.mul(begin.get(), panelBytes.get())));
    const yp = f.local("i32", f.i32.add(y.get(), f.i32.mul(begin.get(), f.i32.const(4 * PANEL_ROWS))));
    const left = f.local("i32");
    const [xt, yt] = [f.local("i32"), f.local("i32")];
    for (const nPanels of panelCounts) {
      // while (end − begin ≥ nPanels) { all tokens of these panels }
      f.while(
        () => f.i32.ge_s(f.i32.sub(end.get(), begin.get()), f.i32.const(nPanels)),
        () => {
          left.set(nTokens.get());
          xt.set(x.get());
          yt.set(yp.get());
          for (const tile of tiles.filter((candidate) => candidate.nPanels === nPanels)) {
            f.while(
              () => f.i32.ge_s(left.get(), f.i32.const(tile.nTokens)),
              () => {
                f.call(
                  tile.func,
                  wp.get(),
                  panelBytes.get(),
                  xt.get(),
                  xStride.get(),
                  nBlocks.get(),
                  yt.get(),
                  yStride.get(),
                  scale.get(),
                );
                xt.set(f.i32.add(xt.get(), f.i32.mul(xStride.get(), f.i32.const(tile.nTokens))));
                yt.set(f.i32.add(yt.get(), f.i32.mul(yStride.get(), f.i32.const(tile.nTokens))));
                left.set(f.i32.sub(left.get(), f.i32.const(tile.nTokens)));
              },
            );
          }
          begin.set(f.i32.add(begin.get(), f.i32.const(nPanels)));
          wp.set(f.i32.add(wp.get(), f.i32.mul(panelBytes.get(), f.i32.const(nPanels))));
          yp.set(f.i32.add(yp.get(), f.i32.const(4 * PANEL_ROWS * nPanels)));
        },
      );
    }
  });
}

/** base, base + stride, base + 2 stride, … in locals of their own. */
function strided(f: FuncBuilder, n: number, base: Local<"i32">, stride: Local<"i32">, skip = 0): Local<"i32">[] {
  return Array.from({ length: n }, (_, i) =>
    f.local("i32", f.i32.add(f.i32.add(base.get(), f.i32.mul(stride.get(), f.i32.const(i))), f.i32.const(skip))),
  );
}

/** The f32x4 of panel `p` of a tile to the token's row of y. */
function storeRows(f: FuncBuilder, yt: Local<"i32">, p: number, value: Local<"v128">): void {
  f.v128.store(yt.get(), value.get(), { offset: 4 * PANEL_ROWS * p });
}

function emitIntTile(m: ModuleBuilder, name: string, panel: IntPanel, variant: Variant, tile: Tile): TileFunc {
  const { nPanels, nTokens } = tile;
  const perBlock = panel.blockScale;
  const headerBytes = perBlock === null ? ROW_HEADER : 0;
  // with one token there are registers for a sum per plane, and planes need not be shifted into place
  const isSplitByPlane = perBlock === null && nTokens === 1 && variant === "relaxed";
  const split = needsSplit(panel, variant);

  return m.func(
    `${name}.${nPanels}x${nTokens}`,
    { params: TILE_PARAMS },
    (f, w, panelBytes, x, xStride, nBlocks, y, yStride, scale) => {
      const wp = strided(f, nPanels, w, panelBytes);
      const xp = strided(f, nTokens, x, xStride, headerBytes);
      const yp = strided(f, nTokens, y, yStride);
      const scalesAt =
        perBlock === null
          ? []
          : xp.map((q) => f.local("i32", f.i32.add(q.get(), f.i32.mul(nBlocks.get(), f.i32.const(panel.blockColumns)))));
      const nSums = isSplitByPlane ? panel.planes.length : 1;
      const cells = wp.map(() => xp.map(() => Array.from({ length: nSums }, () => createAccumulator(f, panel, variant))));
      const totals = perBlock === null ? [] : wp.map(() => xp.map(() => f.local("v128")));
      const vectors = wp.map(() => f.local("v128"));
      const codes = wp.map(() => f.local("v128"));
      const splat = { x: f.local("v128"), positive: f.local("v128"), negative: f.local("v128") };
      const blockScales = wp.map(() => f.local("v128"));
      const left = f.local("i32", nBlocks.get());

      f.loop((again) => {
        if (perBlock !== null) for (const cell of cells.flat(2)) cell.reset();
        for (let v = 0; v < panel.nVectors; v++) {
          wp.forEach((ptr, p) => vectors[p]!.set(f.v128.load(ptr.get(), { offset: panel.vectorOffset + 16 * v, align: 1 })));
          panel.planes.forEach((plane, g) => {
            // codes[p] = plane g of vector v
            vectors.forEach((vector, p) => codes[p]!.set(isSplitByPlane ? plane.raw(f, vector) : plane.exact(f, vector)));
            xp.forEach((ptr, t) => {
              splat.x.set(f.v128.load32_splat(ptr.get(), { offset: plane.column + 4 * v }));
              if (split) {
                splat.positive.set(f.i8x16.max_s(splat.x.get(), f.v128.const("i8x16", 0)));
                splat.negative.set(f.i8x16.max_s(f.i8x16.neg(splat.x.get()), f.v128.const("i8x16", 0)));
              }
              codes.forEach((code, p) => cells[p]![t]![isSplitByPlane ? g : 0]!.add(code, splat));
            });
          });
        }
        for (const cell of cells.flat(2)) cell.blockEnd();
        if (perBlock !== null) {
          // total += f32(sum) · (dw · dx)
          wp.forEach((ptr, p) => blockScales[p]!.set(perBlock(f, ptr)));
          xp.forEach((_, t) => {
            wp.forEach((__, p) => {
              const product = f.f32x4.mul(
                f.f32x4.convert_i32x4_s(cells[p]![t]![0]!.value()),
                f.f32x4.mul(blockScales[p]!.get(), f.v128.load32_splat(scalesAt[t]!.get())),
              );
              const sum = f.local("v128", product);
              totals[p]![t]!.set(f.f32x4.add(totals[p]![t]!.get(), sum.get()));
            });
            scalesAt[t]!.set(f.i32.add(scalesAt[t]!.get(), f.i32.const(4)));
          });
        }
        for (const ptr of wp) ptr.set(f.i32.add(ptr.get(), f.i32.const(panel.blockBytes)));
        for (const ptr of xp) ptr.set(f.i32.add(ptr.get(), f.i32.const(panel.blockColumns)));
        left.set(f.i32.sub(left.get(), f.i32.const(1)));
        f.br_if(again, left.get());
      });

      const xRows = perBlock === null ? strided(f, nTokens, x, xStride) : [];
      xp.forEach((_, t) => {
        wp.forEach((__, p) => {
          if (perBlock !== null) {
            storeRows(f, yp[t]!, p, f.local("v128", f.f32x4.mul(totals[p]![t]!.get(), f.f32x4.splat(scale.get()))));
            return;
          }
          // y = f32(Σ code · x − zeroPoint · Σ x) · (scale / xScale)
          const sum = f.local("v128");
          panel.planes.slice(0, nSums).forEach((plane, g) => {
            const value = cells[p]![t]![g]!.value();
            const shifted = isSplitByPlane ? f.i32x4.shr_s(value, f.i32.const(plane.shift)) : value;
            sum.set(f.i32x4.add(shifted, sum.get()));
          });
          sum.set(
            f.i32x4.sub(
              sum.get(),
              f.i32x4.splat(f.i32.mul(f.i32.load(xRows[t]!.get(), { offset: 4 }), f.i32.const(panel.zeroPoint))),
            ),
          );
          const factor = f.local("f32", f.f32.div(scale.get(), f.f32.load(xRows[t]!.get())));
          const value = f.local("v128", f.f32x4.mul(f.f32x4.convert_i32x4_s(sum.get()), f.f32x4.splat(factor.get())));
          storeRows(f, yp[t]!, p, value);
        });
      });
    },
  );
}

/** Partial sums per row: four columns are summed apart, which hides the latency of an addition and halves its rounding error. */
const FLOAT_SUMS = 4;

function emitFloatTile(m: ModuleBuilder, name: string, panel: FloatPanel, tile: Tile): TileFunc {
  const { nPanels, nTokens } = tile;
  return m.func(
    `${name}.${nPanels}x${nTokens}`,
    { params: TILE_PARAMS },
    (f, w, panelBytes, x, xStride, nBlocks, y, yStride, scale) => {
      const wp = strided(f, nPanels, w, panelBytes);
      const xp = strided(f, nTokens, x, xStride);
      const yp = strided(f, nTokens, y, yStride);
      const sums = wp.map(() => xp.map(() => Array.from({ length: FLOAT_SUMS }, () => f.local("v128"))));
      const weights = wp.map(() => f.local("v128"));
      const splat = f.local("v128");
      /** sum[part] += w · x for one column; pointers go on. */
      const column = (part: number) => {
        wp.forEach((ptr, p) => {
          weights[p]!.set(panel.column(f, ptr));
          ptr.set(f.i32.add(ptr.get(), f.i32.const(panel.blockBytes)));
        });
        xp.forEach((ptr, t) => {
          splat.set(f.v128.load32_splat(ptr.get()));
          ptr.set(f.i32.add(ptr.get(), f.i32.const(4 * panel.blockColumns)));
          weights.forEach((weight, p) => {
            const sum = sums[p]![t]![part]!;
            sum.set(f.f32x4.add(sum.get(), f.f32x4.mul(weight.get(), splat.get())));
          });
        });
      };
      f.while(
        () => f.i32.ge_u(nBlocks.get(), f.i32.const(FLOAT_SUMS)),
        () => {
          for (let part = 0; part < FLOAT_SUMS; part++) column(part);
          nBlocks.set(f.i32.sub(nBlocks.get(), f.i32.const(FLOAT_SUMS)));
        },
      );
      for (let part = 0; part < FLOAT_SUMS - 1; part++) f.if(f.i32.gt_u(nBlocks.get(), f.i32.const(part)), () => column(part));
      xp.forEach((_, t) => {
        wp.forEach((__, p) => {
          const [a, b, c, d] = sums[p]![t]! as [Local<"v128">, Local<"v128">, Local<"v128">, Local<"v128">];
          const sum = f.f32x4.add(f.f32x4.add(a.get(), c.get()), f.f32x4.add(b.get(), d.get()));
          storeRows(f, yp[t]!, p, f.local("v128", f.f32x4.mul(sum, f.f32x4.splat(scale.get()))));
        });
      });
    },
  );
}
