/** Top-k: only the k likeliest tokens stay. */
import { type Candidates, selectTop } from "./candidates.ts";

/** Keeps the `k` best candidates, best first; 0, or k ≥ n, keeps all as they are. */
export function topK(candidates: Candidates, k: number): void {
  if (k === 0 || k >= candidates.n) return;
  if (!candidates.isSorted) selectTop(candidates, k);
  candidates.n = k;
  candidates.isSorted = true;
}
