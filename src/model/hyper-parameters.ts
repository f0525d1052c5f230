/**
 * Reads the hyper-parameters of one architecture (`<arch>.…` keys) with their bounds. Files are hostile: every number is checked where
 * it is read, and the message says key, place, value and what is allowed.
 */
import { GgufError } from "../errors.ts";
import type { GgufMetadata } from "../gguf/metadata.ts";

export class HyperParameters {
  readonly architecture: string;
  readonly metadata: GgufMetadata;

  constructor(architecture: string, metadata: GgufMetadata) {
    this.architecture = architecture;
    this.metadata = metadata;
  }

  has(key: string): boolean {
    return this.metadata.has(this.#full(key));
  }

  /** Whole number in [min, max]; `fallback` where the key is absent. */
  integer(key: string, range: { min: number; max: number; fallback?: number }): number {
    const value = this.#number(key, range.fallback);
    if (!Number.isInteger(value) || value < range.min || value > range.max) {
      this.#fail(key, value, `a whole number from ${range.min} to ${range.max}`);
    }
    return value;
  }

  /** Finite number > 0; `fallback` where the key is absent. */
  positive(key: string, fallback?: number): number {
    const value = this.#number(key, fallback);
    if (!Number.isFinite(value) || value <= 0) this.#fail(key, value, "a finite number above 0");
    return value;
  }

  string(key: string): string | undefined {
    return this.metadata.string(this.#full(key));
  }

  /** For relations between keys: `isRight`, or an error at `key`. */
  require(isRight: boolean, key: string, got: unknown, allowed: string): void {
    if (!isRight) this.#fail(key, got, allowed);
  }

  #full(key: string): string {
    return `${this.architecture}.${key}`;
  }

  #number(key: string, fallback: number | undefined): number {
    const value = this.metadata.number(this.#full(key)) ?? fallback;
    if (value === undefined) {
      throw new GgufError("gguf-hparam-missing", `gguf: key '${this.#full(key)}' is missing; the architecture needs it`, 0, {
        data: { key: this.#full(key) },
      });
    }
    return value;
  }

  #fail(key: string, got: unknown, allowed: string): never {
    const full = this.#full(key);
    const byteOffset = this.metadata.entry(full)?.byteOffset ?? 0;
    throw new GgufError(
      "gguf-hparam",
      `gguf: key '${full}' at byte ${byteOffset} is ${String(got)}; must be ${allowed}`,
      byteOffset,
      {
        data: { key: full, got: String(got) },
      },
    );
  }
}
