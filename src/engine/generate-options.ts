/** What may be said of one generation, with its checks. */
import { ConfigError } from "../errors.ts";
import { type SamplingOptions, validateSampling } from "../sampling/options.ts";

export interface GenerateOptions extends SamplingOptions {
  /** Most tokens to generate; default: until the model ends or the context is full. */
  readonly maxTokens?: number | undefined;
  /** Text that ends the generation; it is not part of the result. */
  readonly stop?: string | readonly string[] | undefined;
  /** Goes on after end-of-generation tokens; they are fed back like others. */
  readonly ignoreEos?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

const MAX_STOPS = 64;

/** @throws ConfigError `invalid-option` */
export function checkGenerateOptions(options: GenerateOptions): {
  sampling: SamplingOptions;
  maxTokens: number | null;
  stop: readonly string[];
} {
  const sampling: SamplingOptions = {
    temperature: options.temperature,
    topK: options.topK,
    topP: options.topP,
    minP: options.minP,
    repeatPenalty: options.repeatPenalty,
    repeatLastN: options.repeatLastN,
    seed: options.seed,
  };
  validateSampling(sampling);
  const { maxTokens = null } = options;
  if (maxTokens !== null && !(Number.isSafeInteger(maxTokens) && maxTokens >= 0)) {
    fail("maxTokens", maxTokens, "a whole number of at least 0");
  }
  const stop = options.stop === undefined ? [] : typeof options.stop === "string" ? [options.stop] : options.stop;
  const isList = Array.isArray(stop) && stop.length <= MAX_STOPS && stop.every((text) => typeof text === "string" && text !== "");
  if (!isList) fail("stop", JSON.stringify(stop), `at most ${MAX_STOPS} strings that are not empty`);
  return { sampling, maxTokens, stop };
}

/** The family's suggestion under what the caller says; a temperature of 0 means greedy and takes no suggestion. */
export function withDefaults(sampling: SamplingOptions, defaults: SamplingOptions): SamplingOptions {
  const given = Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined));
  return sampling.temperature === 0 ? given : { ...defaults, ...given };
}

function fail(option: string, got: unknown, allowed: string): never {
  throw new ConfigError("invalid-option", `generate: ${option} is ${String(got)}; must be ${allowed}`, {
    data: { option, got: String(got) },
  });
}
