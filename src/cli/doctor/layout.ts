/**
 * Which layout the I2_S tensors of a file have: the bytes do not say, so the file is scored under each. On the stories model the right
 * one gives 1.6 nats a token, the wrong ones 8.5 and 9.9, and chance (ln nVocab) is 7.6; random weights give 10.3 … 11.1 under all
 * three where chance is 6.2.
 */
import type { LoadOptions } from "../../index.ts";
import type { Check } from "./check.ts";

export type I2sLayout = NonNullable<LoadOptions["i2sLayout"]>;

/** Nats a token of each layout; null where the file cannot be read under it. */
export type LayoutScores = ReadonlyMap<I2sLayout, number | null>;

/** The right layout is this much better than chance, and than every other: e^1 = 2.7 times as likely, for every token. */
const MIN_GAIN = 1;

/** The layout that fits, or null where the scores do not tell. `chance` is ln nVocab. */
export function fittingLayout(scores: LayoutScores, chance: number): I2sLayout | null {
  const ranked = [...scores].filter((entry): entry is [I2sLayout, number] => entry[1] !== null).sort((a, b) => a[1] - b[1]);
  const [best, second] = ranked;
  if (best === undefined || best[1] > chance - MIN_GAIN) return null;
  return second === undefined || second[1] - best[1] >= MIN_GAIN ? best[0] : null;
}

export function layoutCheck(scores: LayoutScores, chance: number, assumed: I2sLayout): Check {
  const fitting = fittingLayout(scores, chance);
  const figures = [...scores].map(([layout, nll]) => `${layout} ${nll === null ? "cannot be read" : nll.toFixed(2)}`).join(", ");
  const shown = `nats a token on a fixed English text: ${figures}; chance is ${chance.toFixed(2)}`;
  if (fitting === null) {
    return {
      name: "layout",
      ok: true,
      detail: `cannot tell: no I2_S layout reads like language, as with random weights (${shown})`,
    };
  }
  const detail =
    fitting === assumed
      ? `the I2_S layout is ${fitting}, as assumed (${shown})`
      : `the I2_S layout is ${fitting}, not ${assumed}: use --i2s-layout ${fitting} (${shown})`;
  if (fitting === assumed) return { name: "layout", ok: true, detail };
  return {
    name: "layout",
    ok: false,
    detail,
    cause: `the layout of the I2_S weights, which is ${fitting}: use --i2s-layout ${fitting}`,
  };
}
