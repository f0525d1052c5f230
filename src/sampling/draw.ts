/** The draw: one random number picks one of the candidates by their probabilities. */
import * as elementary from "../numerics/elementary.ts";
import { type Candidates, maxLogit } from "./candidates.ts";

/** Id of the candidate at `random` ∈ [0, 1) of the summed softmax of the candidates, in their order. */
export function draw(candidates: Candidates, random: number): number {
  const { ids, logits, n, scratch } = candidates;
  const max = maxLogit(candidates);
  let total = 0;
  for (let i = 0; i < n; i++) {
    total += elementary.exp(logits[i]! - max);
    scratch[i] = total;
  }
  const target = random * total;
  // The first cumulative sum beyond the target: never a candidate of weight zero. Rounding may put the target at the total itself.
  let lo = 0;
  let hi = n - 1;
  while (lo < hi) {
    const middle = (lo + hi) >>> 1;
    if (scratch[middle]! > target) hi = middle;
    else lo = middle + 1;
  }
  while (lo > 0 && scratch[lo] === scratch[lo - 1]) lo--;
  return ids[lo]!;
}
