/**
 * y = W · x for every format: the micro-kernel generator. A tile is a few panels (4 rows each) × a few tokens, with all sums in
 * registers; a format gives the decoding of a vector, the variant gives the dot product. gemv is the tile with one token.
 *
 * Ternary weights in plain SIMD have kernels of their own (matmul-ternary.ts).
 *
 * The order of float operations per (row, token) does not depend on the tile, so prefill and decode give the same bits.
 */
import type { FloatPanel, IntPanel, Panel, TernaryPanel } from "../../quant/panel.ts";
import { PANEL_ROWS } from "../../quant/panel.ts";
import type { FuncBuilder, Local } from "../../wasm-asm/func-builder.ts";
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import type { Func } from "../../wasm-asm/types.ts";
import { createAccumulator, isWidened, loadSplat, planeSums, widenCodes } from "./dot.ts";
import { emitTernaryGemm, emitTernaryGemv } from "./matmul-ternary.ts";
import { ROW_HEADER, type RowForm } from "./row-form.ts";
import { usesTables, type Variant } from "./variant.ts";

interface Tile {
  readonly nPanels: number;
  readonly nTokens: number;
}

/**
 * Tiles of decode (one token) and of prefill, by panels and tokens, largest first, down to 1. In prefill eight 32-bit accumulators fill the
 * latency of the dot units, and x86 has 16 vector registers for them, the codes and the activations. In decode the memory decides: the
 * panels of a tile lie far apart, one stream each, since a core fetches several streams ahead at once but only little of each. Measured on
 * an AVX-512 Xeon, I2_S from DRAM, 10⁹ multiply-adds/s: 1 stream 11, 2 streams 16, 4 streams 34, 6 and 8 streams 37 (in cache 43 to 40).
 */
function tilesFor(panel: Panel, variant: Variant): { readonly decode: readonly Tile[]; readonly prefill: readonly Tile[] } {
  const combine = (panels: readonly number[], tokens: readonly number[]) =>
    panels.flatMap((nPanels) => tokens.map((nTokens) => ({ nPanels, nTokens })));
  if (panel.kind === "float") return { decode: combine([4, 1], [1]), prefill: combine([2, 1], [2, 1]) };
  const decode = combine(panel.codes === "unsigned" ? [8, 2, 1] : [4, 1], [1]);
  // widened codes take two accumulators per cell
  if (isWidened(panel, variant)) return { decode, prefill: combine([2, 1], [3, 2, 1]) };
  return { decode, prefill: panel.codes === "unsigned" ? combine([2, 1], [4, 1]) : combine([2, 1], [2, 1]) };
}

const TILE_PARAMS = ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "f32"] as const;
type TileFunc = Func<typeof TILE_PARAMS, []>;

/**
 * Exports `name(begin, end, nTokens, x, xStride, w, y, yStride, nBlocks, scale, scratch)`: rows [4·begin, 4·end) of y for all tokens, where
 * 4·begin is a panel's first row. Whole vectors are stored: a row of y is padded to a multiple of 4, where zero weights leave zeros.
 */
export function emitMatmul(m: ModuleBuilder, name: string, panel: Panel | TernaryPanel, variant: Variant, form: RowForm): void {
  if (panel.kind !== "ternary") emitTiled(m, name, panel, variant);
  else if (form === "table-row") emitTernaryGemv(m, name, panel, variant);
  else emitTernaryGemm(m, name, panel);
}

/** As `emitMatmul`, without scratch. */
function emitTiled(m: ModuleBuilder, name: string, panel: Panel, variant: Variant): void {
  const { decode, prefill } = tilesFor(panel, variant);
  const funcs = new Map<string, TileFunc>();
  const tileFunc = (tile: Tile): TileFunc => {
    const key = `${tile.nPanels}x${tile.nTokens}`;
    const known = funcs.get(key);
    if (known !== undefined) return known;
    const func = panel.kind === "int" ? emitIntTile(m, name, panel, variant, tile) : emitFloatTile(m, name, panel, tile);
    funcs.set(key, func);
    return func;
  };
  for (const tile of [...decode, ...prefill]) tileFunc(tile);
  const params = ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "f32"] as const;
  m.func(name, { params, export: true }, (f, begin, end, nTokens, x, xStride, w, y, yStride, nBlocks, scale) => {
    const i32 = () => f.local("i32");
    const [left, xt, yt, groups, apart, yApart] = [i32(), i32(), i32(), i32(), i32(), i32()];
    const panelBytes = f.local("i32", f.i32.mul(nBlocks.get(), f.i32.const(panel.blockBytes)));
    const wp = f.local("i32", f.i32.add(w.get(), f.i32.mul(begin.get(), panelBytes.get())));
    const yp = f.local("i32", f.i32.add(y.get(), f.i32.mul(begin.get(), f.i32.const(4 * PANEL_ROWS))));

    /** All tokens of `nPanels` panels at once, `apart` bytes from one to the next; `groups` times. */
    const run = (nPanels: number, tiles: readonly Tile[]) => {
      groups.set(f.i32.div_u(f.i32.sub(end.get(), begin.get()), f.i32.const(nPanels)));
      begin.set(f.i32.add(begin.get(), f.i32.mul(groups.get(), f.i32.const(nPanels))));
      apart.set(f.i32.mul(groups.get(), panelBytes.get()));
      yApart.set(f.i32.mul(groups.get(), f.i32.const(4 * PANEL_ROWS)));
      f.while(
        () => groups.get(),
        () => {
          left.set(nTokens.get());
          xt.set(x.get());
          yt.set(yp.get());
          for (const tile of tiles.filter((candidate) => candidate.nPanels === nPanels)) {
            f.while(
              () => f.i32.ge_s(left.get(), f.i32.const(tile.nTokens)),
              () => {
                const places = [wp.get(), apart.get(), xt.get(), xStride.get(), nBlocks.get(), yt.get(), yStride.get()] as const;
                f.call(tileFunc(tile), ...places, yApart.get(), scale.get());
                xt.set(f.i32.add(xt.get(), f.i32.mul(xStride.get(), f.i32.const(tile.nTokens))));
                yt.set(f.i32.add(yt.get(), f.i32.mul(yStride.get(), f.i32.const(tile.nTokens))));
                left.set(f.i32.sub(left.get(), f.i32.const(tile.nTokens)));
              },
            );
          }
          wp.set(f.i32.add(wp.get(), panelBytes.get()));
          yp.set(f.i32.add(yp.get(), f.i32.const(4 * PANEL_ROWS)));
          groups.set(f.i32.sub(groups.get(), f.i32.const(1)));
        },
      );
      // behind the last panel of the group
      wp.set(f.i32.add(wp.get(), f.i32.mul(apart.get(), f.i32.const(nPanels - 1))));
      yp.set(f.i32.add(yp.get(), f.i32.mul(yApart.get(), f.i32.const(nPanels - 1))));
    };
    const runAll = (tiles: readonly Tile[]) => {
      for (const nPanels of new Set(tiles.map((tile) => tile.nPanels))) run(nPanels, tiles);
    };
    f.if(
      f.i32.eq(nTokens.get(), f.i32.const(1)),
      () => runAll(decode),
      () => runAll(prefill),
    );
  });
}

/** base, base + stride, base + 2 stride, … in locals of their own. */
function strided(f: FuncBuilder, n: number, base: Local<"i32">, stride: Local<"i32">, skip = 0): Local<"i32">[] {
  return Array.from({ length: n }, (_, i) =>
    f.local("i32", f.i32.add(f.i32.add(base.get(), f.i32.mul(stride.get(), f.i32.const(i))), f.i32.const(skip))),
  );
}

/** The f32x4 of panel `p` of a tile to the token's row of y; panels are `apart` bytes from each other. */
function storeRows(f: FuncBuilder, yt: Local<"i32">, apart: Local<"i32">, p: number, value: Local<"v128">): void {
  f.v128.store(f.i32.add(yt.get(), f.i32.mul(apart.get(), f.i32.const(p))), value.get());
}

function emitIntTile(m: ModuleBuilder, name: string, panel: IntPanel, variant: Variant, tile: Tile): TileFunc {
  const { nPanels, nTokens } = tile;
  const perBlock = panel.blockScale;
  if (perBlock === null && usesTables(variant)) throw new Error(`wasm: ${name} needs a panel for tables, its rows are wide`);
  const headerBytes = perBlock === null ? ROW_HEADER : 0;
  const sums = planeSums(panel, variant, nTokens);
  const isWide = isWidened(panel, variant);

  return m.func(
    `${name}.${nPanels}x${nTokens}`,
    { params: TILE_PARAMS },
    (f, w, apart, x, xStride, nBlocks, y, yStride, yApart, scale) => {
      const wp = strided(f, nPanels, w, apart);
      const xp = strided(f, nTokens, x, xStride, headerBytes);
      const yp = strided(f, nTokens, y, yStride);
      const scalesAt =
        perBlock === null
          ? []
          : xp.map((q) => f.local("i32", f.i32.add(q.get(), f.i32.mul(nBlocks.get(), f.i32.const(panel.blockColumns)))));
      const cells = wp.map(() => xp.map(() => sums.shifts.map(() => createAccumulator(f, panel, variant))));
      const totals = perBlock === null ? [] : wp.map(() => xp.map(() => f.local("v128")));
      const vectors = wp.map(() => f.local("v128"));
      const codes = wp.map(() => ({ bytes: f.local("v128"), low: f.local("v128"), high: f.local("v128") }));
      const splat = { x: f.local("v128"), positive: f.local("v128"), negative: f.local("v128"), wide: f.local("v128") };
      const blockScales = wp.map(() => f.local("v128"));
      const left = f.local("i32", nBlocks.get());

      f.loop((again) => {
        if (perBlock !== null) for (const cell of cells.flat(2)) cell.reset();
        for (let v = 0; v < panel.nVectors; v++) {
          wp.forEach((ptr, p) => vectors[p]!.set(f.v128.load(ptr.get(), { offset: panel.vectorOffset + 16 * v, align: 1 })));
          panel.planes.forEach((plane, g) => {
            // codes[p] = plane g of vector v
            vectors.forEach((vector, p) => {
              codes[p]!.bytes.set(sums.codes(f, plane, vector));
              if (isWide) widenCodes(f, codes[p]!, panel, wp[p]!, panel.vectorOffset + 16 * v);
            });
            xp.forEach((ptr, t) => {
              loadSplat(f, splat, panel, variant, ptr.get(), plane.column + 4 * v);
              codes.forEach((code, p) => cells[p]![t]![sums.sumOf(plane, g)]!.add(code, splat));
            });
          });
        }
        for (const cell of cells.flat(2)) cell.blockEnd?.();
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
        // 8-bit weights come at the pace of the memory by themselves
        for (const ptr of wp) ptr.set(f.i32.add(ptr.get(), f.i32.const(panel.blockBytes)));
        for (const ptr of xp) ptr.set(f.i32.add(ptr.get(), f.i32.const(panel.blockColumns)));
        left.set(f.i32.sub(left.get(), f.i32.const(1)));
        f.br_if(again, left.get());
      });

      const xRows = perBlock === null ? strided(f, nTokens, x, xStride) : [];
      xp.forEach((_, t) => {
        wp.forEach((__, p) => {
          if (perBlock !== null) {
            storeRows(f, yp[t]!, yApart, p, f.local("v128", f.f32x4.mul(totals[p]![t]!.get(), f.f32x4.splat(scale.get()))));
            return;
          }
          // y = f32(Σ code · x − zeroPoint · Σ x) · (scale / xScale)
          const sum = f.local("v128");
          sums.shifts.forEach((shift, i) => {
            const value = cells[p]![t]![i]!.value();
            sum.set(f.i32x4.add(shift === 0 ? value : f.i32x4.shr_s(value, f.i32.const(shift)), sum.get()));
          });
          sum.set(
            f.i32x4.sub(
              sum.get(),
              f.i32x4.splat(f.i32.mul(f.i32.load(xRows[t]!.get(), { offset: 4 }), f.i32.const(panel.zeroPoint))),
            ),
          );
          const factor = f.local("f32", f.f32.div(scale.get(), f.f32.load(xRows[t]!.get())));
          const value = f.local("v128", f.f32x4.mul(f.f32x4.convert_i32x4_s(sum.get()), f.f32x4.splat(factor.get())));
          storeRows(f, yp[t]!, yApart, p, value);
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
    (f, w, apart, x, xStride, nBlocks, y, yStride, yApart, scale) => {
      const wp = strided(f, nPanels, w, apart);
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
          storeRows(f, yp[t]!, yApart, p, f.local("v128", f.f32x4.mul(sum, f.f32x4.splat(scale.get()))));
        });
      });
    },
  );
}
