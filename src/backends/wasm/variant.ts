/** Which SIMD the kernels use, chosen by computed self-tests, and what a dot product of codes looks like in each. */
import { probeFeatures } from "../../wasm-asm/probe.ts";

/** `relaxed`: 4-way i8 dots (x86 VNNI, ARM dotprod). `plain`: SIMD128 only. Both give the same bits. */
export type Variant = "relaxed" | "plain";

export function chooseVariant(wanted?: Variant): { variant: Variant; reason: string } {
  const features = probeFeatures();
  if (wanted === "plain") return { variant: "plain", reason: "asked for" };
  if (features.relaxedDotI32) return { variant: "relaxed", reason: "its dot product passed the self-test" };
  return { variant: "plain", reason: "this runtime has no relaxed SIMD that computes right" };
}
