/** The options of sampling: their names, ranges and defaults. */
import { ConfigError } from "../errors.ts";
import { checkSeed } from "./rng.ts";

/** How the next token is chosen. A filter that is not given does not apply. */
export interface SamplingOptions {
  /** 0 = the likeliest token, else the divisor of the logits. Default 0.8. */
  readonly temperature?: number | undefined;
  /** Keep the k likeliest tokens; 0 = all. */
  readonly topK?: number | undefined;
  /** Keep the smallest set of likeliest tokens whose probability reaches p; 1 = all. */
  readonly topP?: number | undefined;
  /** Keep tokens with at least p times the probability of the likeliest; 0 = all. */
  readonly minP?: number | undefined;
  /** Divides positive and multiplies negative logits of recent tokens; 1 = none. */
  readonly repeatPenalty?: number | undefined;
  /** How many recent tokens are penalised; −1 = all, 0 = none. Default 64. */
  readonly repeatLastN?: number | undefined;
  /** Integer in 0 … 2^53 − 1; not given: drawn from `crypto`. */
  readonly seed?: number | undefined;
}

/** llama.cpp's defaults for the two that have one here (common/common.h). */
export const DEFAULT_TEMPERATURE = 0.8;
export const DEFAULT_REPEAT_LAST_N = 64;

interface Rule {
  readonly allowed: string;
  readonly hint: string;
  isAllowed(value: number): boolean;
}

const RULES: Readonly<Record<Exclude<keyof SamplingOptions, "seed">, Rule>> = {
  temperature: {
    allowed: "a finite number ≥ 0",
    hint: "0 always takes the likeliest token; 0.8 is a usual value.",
    isAllowed: (value) => Number.isFinite(value) && value >= 0,
  },
  topK: {
    allowed: "an integer ≥ 0",
    hint: "0 keeps all tokens; 40 is a usual value.",
    isAllowed: (value) => Number.isSafeInteger(value) && value >= 0,
  },
  topP: {
    allowed: "a number from 0 to 1",
    hint: "1 keeps all tokens; 0.95 is a usual value.",
    isAllowed: (value) => value >= 0 && value <= 1,
  },
  minP: {
    allowed: "a number from 0 to 1",
    hint: "0 keeps all tokens; 0.05 is a usual value.",
    isAllowed: (value) => value >= 0 && value <= 1,
  },
  repeatPenalty: {
    allowed: "a finite number > 0",
    hint: "1 penalises nothing; 1.1 is a usual value.",
    isAllowed: (value) => Number.isFinite(value) && value > 0,
  },
  repeatLastN: {
    allowed: "an integer ≥ −1",
    hint: "−1 looks at all tokens, 0 at none; 64 is a usual value.",
    isAllowed: (value) => Number.isSafeInteger(value) && value >= -1,
  },
};

/**
 * Checks the sampling options in `options`; other keys are none of its business.
 * @throws ConfigError `invalid-option` with data {option, got, allowed}
 */
export function validateSampling(options: SamplingOptions): void {
  for (const [option, rule] of Object.entries(RULES)) {
    const value: unknown = options[option as keyof SamplingOptions];
    if (value === undefined || (typeof value === "number" && rule.isAllowed(value))) continue;
    const got = typeof value === "string" ? `'${value}'` : String(value);
    throw new ConfigError("invalid-option", `sampling: ${option} is ${got}; must be ${rule.allowed}`, {
      data: { option, got, allowed: rule.allowed },
      hint: rule.hint,
    });
  }
  if (options.seed !== undefined) checkSeed(options.seed);
}
