/**
 * Repetition penalty: tokens seen lately become less likely. Source: N. S. Keskar et al., "CTRL", 2019, in llama.cpp's form
 * (src/llama-sampler.cpp): once per distinct token, whichever side of zero its logit is on.
 */

/** Largest finite f32: an extreme penalty must not push a logit to infinity. */
const F32_MAX = 3.4028234663852886e38;

/** Penalises in place, in `logits` [nVocab], the last `lastN` tokens of `history` (−1 = all). Ids outside are skipped. */
export function applyRepetitionPenalty(logits: Float32Array, history: ArrayLike<number>, penalty: number, lastN: number): void {
  if (penalty === 1 || lastN === 0) return;
  const first = lastN < 0 ? 0 : Math.max(0, history.length - lastN);
  const seen = new Set<number>();
  for (let i = first; i < history.length; i++) {
    const id = history[i]!;
    const logit = logits[id];
    if (logit === undefined || seen.has(id)) continue;
    seen.add(id);
    if (logit > 0) logits[id] = Math.min(logit / penalty, F32_MAX);
    else if (logit !== Number.NEGATIVE_INFINITY) logits[id] = Math.max(logit * penalty, -F32_MAX);
  }
}
