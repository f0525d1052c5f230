/** How a model is loaded, with the checks that need no file. */
import type { Variant } from "../backends/wasm/variant.ts";
import { ConfigError, UnsupportedError } from "../errors.ts";
import { I2S_LAYOUTS, type I2sLayout } from "../quant/i2_s.ts";

/** The SIMD variants that can be asked for; all give the same bits. */
const SIMD_VARIANTS = ["relaxed", "relaxed-i16", "relaxed-swizzle", "plain"] as const satisfies readonly Variant[];

/** How a model is loaded; all optional. */
export interface EngineOptions {
  /** Tokens of context. Default: what the model was trained on, at most 4,096, at most what fits. */
  readonly nCtx?: number | undefined;
  /** Sequences that fit beside each other at full context. Default 1. */
  readonly nParallel?: number | undefined;
  readonly backend?: "auto" | "wasm" | "reference" | undefined;
  readonly threads?: "auto" | number | undefined;
  /** SIMD of the WASM kernels. Default: the fastest that computes right. */
  readonly simd?: "auto" | Variant | undefined;
  /** Large float output matrices: `auto` serves a Q8_0 copy above 64 MiB, `f16` keeps the file's. */
  readonly head?: "auto" | "f16" | "q8_0" | undefined;
  /** Layout of I2_S tensors. Default x86, which the official files have. */
  readonly i2sLayout?: I2sLayout | undefined;
  /** Overrides `tokenizer.ggml.pre`. */
  readonly pre?: string | undefined;
}

/** @throws ConfigError for an option that is not allowed. */
export function checkOptions(options: EngineOptions): void {
  const check = (isAllowed: boolean, name: string, got: unknown, allowed: string) => {
    if (!isAllowed)
      throw new ConfigError("invalid-option", `load: ${name} is ${String(got)}; must be ${allowed}`, {
        data: { option: name, got: String(got) },
      });
  };
  const isCount = (n: unknown) => Number.isSafeInteger(n) && (n as number) >= 1;
  const oneOf = (value: unknown, allowed: readonly unknown[]) => value === undefined || allowed.includes(value);
  check(options.nCtx === undefined || isCount(options.nCtx), "nCtx", options.nCtx, "a whole number of at least 1");
  check(
    options.nParallel === undefined || isCount(options.nParallel),
    "nParallel",
    options.nParallel,
    "a whole number of at least 1",
  );
  check(
    oneOf(options.threads, ["auto"]) || isCount(options.threads),
    "threads",
    options.threads,
    "auto or a whole number of at least 1",
  );
  check(oneOf(options.simd, ["auto", ...SIMD_VARIANTS]), "simd", options.simd, `auto, ${SIMD_VARIANTS.join(", ")}`);
  check(oneOf(options.head, ["auto", "f16", "q8_0"]), "head", options.head, "auto, f16 or q8_0");
  check(oneOf(options.i2sLayout, I2S_LAYOUTS), "i2sLayout", options.i2sLayout, I2S_LAYOUTS.join(", "));
  if (oneOf(options.backend, ["auto", "wasm", "reference"])) return;
  throw new UnsupportedError(
    "backend-unsupported",
    `load: backend '${String(options.backend)}' is not supported; supported are auto, wasm, reference`,
    {
      data: { what: "backend", found: String(options.backend), supported: ["auto", "wasm", "reference"] },
    },
  );
}
