/** Min-p: tokens less likely than p times the likeliest go. Source: N. N. Minh et al., "Turning Up the Heat: Min-p Sampling", 2024. */
import * as elementary from "../numerics/elementary.ts";
import { type Candidates, maxLogit } from "./candidates.ts";

/** Keeps the candidates with at least `p` times the best one's probability, in their order; 0 keeps all. */
export function minP(candidates: Candidates, p: number): void {
  if (p === 0) return;
  const { ids, logits } = candidates;
  const least = maxLogit(candidates) + elementary.log(p);
  let kept = 0;
  for (let i = 0; i < candidates.n; i++) {
    if (logits[i]! < least) continue;
    logits[kept] = logits[i]!;
    ids[kept++] = ids[i]!;
  }
  candidates.n = kept;
}
