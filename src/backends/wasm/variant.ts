/** Which SIMD instructions the kernels use. All variants give the same bits; choose-variant.ts finds the fastest. */
import type { Weight } from "../../graph/tensor.ts";
import type { Panel, TernaryPanel } from "../../quant/panel.ts";
import { quantFormat } from "../../quant/registry.ts";

/**
 * `relaxed`: 4-way i8 dot products (x86 with VNNI, ARM with dotprod). `relaxed-i16`: 2-way ones, which every x86 has. `relaxed-swizzle`:
 * byte-shuffle tables by the relaxed shuffle. `plain`: SIMD128 only, tables.
 */
export const VARIANTS = ["relaxed", "relaxed-i16", "relaxed-swizzle", "plain"] as const;
export type Variant = (typeof VARIANTS)[number];

/** Whether products of ternary weights are looked up, which takes panels and rows of another form. */
export function usesTables(variant: Variant): boolean {
  return variant === "plain" || variant === "relaxed-swizzle";
}

/** How a matrix is held for the kernels of `variant`. */
export function panelFor(weight: Weight, variant: Variant): Panel | TernaryPanel {
  const format = quantFormat(weight.format, `tensor '${weight.name}'`);
  return (usesTables(variant) ? format.tablePanel : undefined) ?? format.panel;
}
