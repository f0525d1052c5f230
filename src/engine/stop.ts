/**
 * Stop strings over streamed text: text that may be the beginning of one is held back until it is decided. What comes out is never
 * part of a stop string, however the tokens cut it.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Takes more text; gives what is safe to show, and whether a stop string is complete. */
  push(text: string): { text: string; isStopped: boolean } {
    if (this.#stops.length === 0) return { text, isStopped: false };
    const all = this.#held + text;
    const first = Math.min(...this.#stops.map((stop) => all.indexOf(stop)).filter((at) => at >= 0));
    if (Number.isFinite(first)) {
      this.#held = "";
      return { text: all.slice(0, first), isStopped: true };
    }
    const keep = Math.max(...this.#stops.map((stop) => overlap(all, stop)));
    this.#held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep), isStopped: false };
  }

  /** What was held back and turned out to be no stop string. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }
}

/** Length of the longest end of `text` that is a proper beginning of `stop`. */
function overlap(text: string, stop: string): number {
  for (let n = Math.min(text.length, stop.length - 1); n > 0; n--) if (text.endsWith(stop.slice(0, n))) return n;
  return 0;
}
