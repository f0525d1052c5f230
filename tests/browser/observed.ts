/** What Node and Chromium must both give on the bundled model, bit for bit; one function makes it on either side. */
import type { GenerateOptions, Model } from "../../src/index.ts";

export const PROMPT = "Once upon a time";

export const CASES = {
  greedy: { maxTokens: 96, temperature: 0 },
  sampled: { maxTokens: 96, temperature: 0.8, topK: 40, topP: 0.95, minP: 0.02, repeatPenalty: 1.1, seed: 20_261_124 },
  hot: { maxTokens: 96, temperature: 1.5, seed: 7, ignoreEos: true },
} satisfies Record<string, GenerateOptions>;

export type CaseName = keyof typeof CASES;

export interface Observed {
  /** Generated ids by case. */
  readonly tokens: Readonly<Record<CaseName, readonly number[]>>;
  /** SHA-256 of the logits' bytes: all rows of a prompt of 71 tokens, and the row of one decode behind it. */
  readonly prefillSha256: string;
  readonly decodeSha256: string;
}

/** What `model` gives. */
export async function observe(model: Model): Promise<Observed> {
  const generate = async (name: CaseName) => (await model.generate(PROMPT, CASES[name]).result).tokens;
  const tokens = { greedy: await generate("greedy"), sampled: await generate("sampled"), hot: await generate("hot") };
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
