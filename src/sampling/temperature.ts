/** Temperature: how far apart the logits stand when the draw is made. */
import { type Candidates, maxLogit } from "./candidates.ts";

/**
 * Replaces each logit by its distance to the best one, divided by `temperature` > 0. The shift changes no probability and
 * keeps a tiny temperature from overflowing.
 */
export function scaleByTemperature(candidates: Candidates, temperature: number): void {
  const { logits, n } = candidates;
  const max = maxLogit(candidates);
  for (let i = 0; i < n; i++) logits[i] = (logits[i]! - max) / temperature;
}
