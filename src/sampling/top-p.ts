/**
 * Top-p (nucleus): the likeliest tokens that together reach probability p stay, and the one that reaches it.
 * Source: A. Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020.
 */
import * as elementary from "../numerics/elementary.ts";
import { type Candidates, maxLogit, selectTop } from "./candidates.ts";

/** A nucleus is mostly small: look among this many first, then among ever more. */
const FIRST_LOOK = 64;
const GROWTH = 16;

/** Keeps the shortest run of best candidates whose probability is at least `p`, at least one; best first. p ≥ 1 keeps all. */
export function topP(candidates: Candidates, p: number): void {
  if (p >= 1) return;
  const { logits, n } = candidates;
  const max = maxLogit(candidates);
  let total = 0;
  for (let i = 0; i < n; i++) total += elementary.exp(logits[i]! - max);
  const wanted = p * total;
  let k = candidates.isSorted ? n : Math.min(n, FIRST_LOOK);
  for (;;) {
    if (!candidates.isSorted) selectTop(candidates, k);
    let sum = 0;
    for (let i = 0; i < k; i++) {
      sum += elementary.exp(logits[i]! - max);
      if (sum >= wanted || i === n - 1) {
        candidates.n = i + 1;
        candidates.isSorted = true;
        return;
      }
    }
    k = Math.min(n, k * GROWTH);
  }
}
