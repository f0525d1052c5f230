/**
 * What Node and Chromium must both give on the bundled model. One function makes it on either side; `expected.json` holds what Node
 * gave, and a test in Node fails when it no longer does. After a change that is meant to alter tokens:
 * `UPDATE=1 npx vitest run --project node tests/browser`, then `npx biome check --write tests/browser`.
 */
import type { GenerateOptions, Model } from "../../src/index.ts";

export const PROMPT = "Once upon a time";

export const CASES: Readonly<Record<string, GenerateOptions>> = {
  greedy: { maxTokens: 96, temperature: 0 },
  sampled: { maxTokens: 96, temperature: 0.8, topK: 40, topP: 0.95, minP: 0.02, repeatPenalty: 1.1, seed: 20_261_124 },
  hot: { maxTokens: 96, temperature: 1.5, seed: 7, ignoreEos: true },
};

export interface Expected {
  /** Generated ids by case. */
  readonly tokens: Record<string, readonly number[]>;
  /** SHA-256 of the logits' bytes: all rows of a prompt of 71 tokens, and the row of one decode behind it. */
  readonly prefillSha256: string;
  readonly decodeSha256: string;
}

/** What `model` gives. */
export async function observe(model: Model): Promise<Expected> {
  const tokens: Record<string, readonly number[]> = {};
  for (const [name, options] of Object.entries(CASES)) tokens[name] = (await model.generate(PROMPT, options).result).tokens;
  const session = model.session();
  // longer than a prefill block and than a page of the KV cache, which are 64
  const ids = Array.from({ length: 71 }, (_, i) => (i * i * 7 + 13) % model.info.nVocab);
  const prefill = await session.prefill(ids, { logits: "all" });
  const decode = await session.decode(5);
  await session.dispose();
  return { tokens, prefillSha256: await sha256(prefill), decodeSha256: await sha256(decode) };
}

async function sha256(values: Float32Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", values.slice().buffer);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
