/** What the page says, as text: facts of a model, numbers of a generation, errors. */
import {
  type FinishReason,
  type GenerationResult,
  LmError,
  type LoadProgress,
  type Model,
  type ModelInfo,
} from "../src/index.ts";

export interface ErrorWords {
  readonly message: string;
  readonly hint: string;
}

export function errorWords(error: unknown): ErrorWords {
  if (error instanceof LmError) return { message: error.message, hint: error.hint ?? "" };
  return { message: error instanceof Error ? error.message : String(error), hint: "Reload the page to start again." };
}

export function modelFacts({ info, plan }: Model): string {
  const facts = [
    info.architecture,
    `${compact(info.parameters)} parameters`,
    info.quantization,
    `${info.nCtx.toLocaleString("en")}-token context`,
    megabytes(plan.totalBytes),
  ];
  // a number stays with its unit
  return facts.map((fact) => fact.replaceAll(" ", "\u00a0")).join(" · ");
}

export function progressWords(name: string, { phase, loaded, total }: LoadProgress): string {
  return phase === "metadata" ? `Opening ${name}` : `Loading ${name}: ${megabytes(loaded)} of ${megabytes(total)}`;
}

export function liveWords(nTokens: number, tokensPerSecond: number, info: ModelInfo): string {
  return [...speedWords(nTokens, tokensPerSecond), ...machineWords(info)].join(" · ");
}

export function resultWords(result: GenerationResult, info: ModelInfo): string {
  const { tokens, finishReason, timings } = result;
  return [
    ...speedWords(tokens.length, timings.decodeTokensPerSecond),
    ...machineWords(info),
    finishWords(finishReason, info),
  ].join(" · ");
}

function speedWords(nTokens: number, tokensPerSecond: number): string[] {
  const words = [`${nTokens} ${nTokens === 1 ? "token" : "tokens"}`];
  const speed = tokensPerSecond.toLocaleString("en", { maximumFractionDigits: tokensPerSecond < 10 ? 1 : 0 });
  if (tokensPerSecond > 0) words.push(`${speed} tokens/s`);
  return words;
}

function machineWords({ backend, threads, threadsReason }: ModelInfo): string[] {
  const count = threads === 1 ? "one thread" : `${threads} threads`;
  return [backend, threadsReason === count ? count : `${count} (${threadsReason})`];
}

function finishWords(reason: FinishReason, info: ModelInfo): string {
  switch (reason) {
    case "eos":
      return "the model ended the text";
    case "length":
      return "as many tokens as asked for";
    case "context":
      return `the context of ${info.nCtx} tokens is full`;
    case "stop":
    case "abort":
      return "stopped";
    default:
      return reason satisfies never;
  }
}

function megabytes(bytes: number): string {
  const n = bytes / 1e6;
  return n >= 1000 ? `${(n / 1000).toFixed(2)} GB` : `${n.toFixed(n >= 100 ? 0 : 1)} MB`;
}

function compact(n: number): string {
  return n.toLocaleString("en", { notation: "compact", maximumFractionDigits: 1 });
}
