/** Probabilities of tokens for evaluation and perplexity: f64 sums in the order of the ids, the same in every engine. */
import * as elementary from "../numerics/elementary.ts";
import { argmax } from "./candidates.ts";

/**
 * ln Σ e^logit over `logits` [nVocab].
 * @throws BackendError `logits-not-finite`, `logits-all-masked`
 */
export function logSumExp(logits: Float32Array): number {
  const max = logits[argmax(logits)]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += elementary.exp(logits[i]! - max);
  return max + elementary.log(sum);
}

/** Natural logarithm of the probability of token `id`. @throws as `logSumExp` */
export function logSoftmax(logits: Float32Array, id: number): number {
  const logit = logits[id];
  if (logit === undefined) throw new RangeError(`sampling: token ${id} is not one of ${logits.length}`);
  return logit - logSumExp(logits);
}

/** Probability of token `id`. @throws as `logSumExp` */
export function tokenProbability(logits: Float32Array, id: number): number {
  return elementary.exp(logSoftmax(logits, id));
}
