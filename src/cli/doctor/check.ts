/** What a check of `doctor` says, and what the checks share. */
import type { Model } from "../../index.ts";
import { logSoftmax } from "../../sampling/log-softmax.ts";

/** One check: `detail` says what was found and, where it failed, what to do. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** Of a failed check: what it makes likely as the cause of bad text. */
  readonly cause?: string;
}

/** Plain words, so that any language model that has seen English predicts them far better than chance. */
export const ENGLISH =
  "Once there was a little dog who lived in a small house with a boy. Every day they went to the park to play. One day the dog saw a " +
  "big red ball under a tree. He ran to the ball and took it home. The boy was very happy and they played with it until it was time for bed.";

/** Most tokens of a text that are scored: enough for a mean, few enough for a slow machine. */
const MAX_SCORED = 160;

/**
 * Mean negative log likelihood of `ENGLISH` in nats a token, with the BOS in front or without. The first token of the text is not
 * scored, so that both have the same tokens to predict.
 * @throws BackendError `logits-not-finite`
 */
export async function scoreEnglish(model: Model, withBos: boolean, signal: AbortSignal): Promise<number> {
  const { tokenizer } = model;
  const tokens = tokenizer.encode(ENGLISH, { bos: withBos }).slice(0, Math.min(MAX_SCORED, model.info.nCtx));
  const nContext = withBos ? 2 : 1;
  const session = model.session();
  try {
    const rows = await session.prefill(tokens, { logits: "all", signal });
    const nVocab = rows.length / tokens.length;
    let sum = 0;
    for (let i = nContext; i < tokens.length; i++) sum -= logSoftmax(rows.subarray((i - 1) * nVocab, i * nVocab), tokens[i]!);
    return sum / (tokens.length - nContext);
  } finally {
    await session.dispose();
  }
}

/** What guessing among all tokens gives, in nats a token. */
export function chanceOf(model: Model): number {
  return Math.log(model.info.nVocab);
}
