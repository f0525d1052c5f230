/** The FFN's activations, element by element. */
import type { ActivationFn } from "../../graph/ops.ts";
import { exp } from "../../numerics/elementary.ts";

export function activate(fn: ActivationFn, x: number): number {
  switch (fn) {
    case "relu2":
      return x > 0 ? x * x : 0;
    case "silu":
      return x / (1 + exp(-x));
    default:
      throw new Error(fn satisfies never);
  }
}
