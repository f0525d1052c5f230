/**
 * The generation loop: prefill what the session does not hold yet, then sample, emit, decode, until something ends it. Runs in the
 * worker; yields to messages after every token, so that a cancel is seen within one.
 */
import { ConfigError, ContextOverflowError } from "../errors.ts";
import { createSampler, type Sampler } from "../sampling/chain.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { FinishReason, GenerateRequest, GenerateSummary, PieceEvent } from "./protocol.ts";
import type { SessionCore, YieldToEvents } from "./session-core.ts";
import { StopMatcher } from "./stop.ts";

export interface GenerateContext {
  readonly session: SessionCore;
  readonly tokenizer: Tokenizer;
  readonly nCtx: number;
  readonly emit: (piece: PieceEvent) => void;
  readonly yieldToEvents: YieldToEvents;
  readonly signal: AbortSignal;
}

/**
 * Cancelling ends with finishReason `abort` and what was generated so far.
 * @throws ContextOverflowError when the prompt is longer than the context; ConfigError `prompt-empty`
 */
export async function generate(request: GenerateRequest, context: GenerateContext): Promise<GenerateSummary> {
  const { session, signal } = context;
  const { ids } = request;
  checkPrompt(ids, context.nCtx);
  const sampler = createSampler(request.sampling);
  const cachedTokens = reusePrefix(session, ids);
  const begin = performance.now();
  let logits: Float32Array;
  try {
    logits = await session.prefill(ids.slice(cachedTokens), "last", context.yieldToEvents, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    return summary(request, sampler, [], cachedTokens, "abort", performance.now() - begin, 0);
  }
  const decodeBegin = performance.now();
  const { tokens, finishReason } = await decodeLoop(request, context, sampler, logits);
  return summary(request, sampler, tokens, cachedTokens, finishReason, decodeBegin - begin, performance.now() - decodeBegin);
}

async function decodeLoop(
  request: GenerateRequest,
  { session, tokenizer, nCtx, emit, yieldToEvents, signal }: GenerateContext,
  sampler: Sampler,
  firstLogits: Float32Array,
): Promise<{ tokens: number[]; finishReason: FinishReason }> {
  const tokens: number[] = [];
  const decoder = tokenizer.streamDecoder({ isContinuation: true });
  const stops = new StopMatcher(request.stop);
  const history = [...request.ids];
  let logits = firstLogits;
  let finishReason: FinishReason;
  for (;;) {
    if (signal.aborted) {
      finishReason = "abort";
      break;
    }
    if (request.maxTokens !== null && tokens.length >= request.maxTokens) {
      finishReason = "length";
      break;
    }
    const id = sampler.sample(logits, history);
    if (tokenizer.isEog(id) && !request.ignoreEos) {
      finishReason = "eos";
      break;
    }
    tokens.push(id);
    history.push(id);
    const { text, isStopped } = stops.push(decoder.push(id));
    emit({ text, tokenId: id });
    if (isStopped) {
      finishReason = "stop";
      break;
    }
    if (session.nPast >= nCtx) {
      finishReason = "context";
      break;
    }
    await yieldToEvents();
    if (!signal.aborted) logits = session.decode(id);
  }
  const rest = finishReason === "stop" ? "" : stops.push(decoder.end()).text + stops.end();
  if (rest !== "") emit({ text: rest, tokenId: null });
  return { tokens, finishReason };
}

function checkPrompt(ids: readonly number[], nCtx: number): void {
  if (ids.length === 0) {
    throw new ConfigError("prompt-empty", "generate: the prompt has no tokens", {
      hint: "Give some text; this model's vocabulary puts no BOS in front of an empty prompt.",
    });
  }
  if (ids.length > nCtx) {
    throw new ContextOverflowError(
      "context-overflow",
      `generate: the prompt has ${ids.length} tokens; the context holds ${nCtx}`,
      {
        data: { nPrompt: ids.length, nCtx },
        hint: "Shorten the prompt, or load the model with a larger nCtx.",
      },
    );
  }
}

/** Cuts the session back to its common beginning with `ids` and returns its length; the last id is always computed anew. */
function reusePrefix(session: SessionCore, ids: readonly number[]): number {
  const { tokens } = session;
  let n = 0;
  while (n < tokens.length && n < ids.length - 1 && tokens[n] === ids[n]) n++;
  session.truncate(n);
  return n;
}

function summary(
  request: GenerateRequest,
  sampler: Sampler,
  tokens: readonly number[],
  cachedTokens: number,
  finishReason: FinishReason,
  prefillMs: number,
  decodeMs: number,
): GenerateSummary {
  return { tokens, promptTokens: request.ids.length, cachedTokens, finishReason, seed: sampler.seed, prefillMs, decodeMs };
}
