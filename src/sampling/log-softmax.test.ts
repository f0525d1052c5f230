import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BackendError } from "../errors.ts";
import { logSoftmax, logSumExp, tokenProbability } from "./log-softmax.ts";

describe("logSumExp", () => {
  it("of known values", () => {
    expect(logSumExp(Float32Array.of(3))).toBe(3);
    expect(logSumExp(Float32Array.of(0, 0))).toBeCloseTo(Math.LN2, 15);
    expect(logSumExp(Float32Array.of(1000, 1000, Number.NEGATIVE_INFINITY))).toBeCloseTo(1000 + Math.LN2, 12);
    expect(logSumExp(Float32Array.of(-1000, -2000))).toBe(-1000);
  });

  it("agrees with the formula, and probabilities sum to 1", () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 1 }), (values) => {
        const logits = Float32Array.from(values);
        const direct = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
        expect(Math.abs(logSumExp(logits) - direct)).toBeLessThan(1e-13);
        const total = values.reduce((sum, _, id) => sum + tokenProbability(logits, id), 0);
        expect(Math.abs(total - 1)).toBeLessThan(1e-13);
        expect(logSoftmax(logits, 0)).toBe(logits[0]! - logSumExp(logits));
      }),
      { seed: 1 },
    );
  });

  it("refuses NaN, and ids outside the vocabulary", () => {
    expect(() => logSumExp(Float32Array.of(1, Number.NaN))).toThrow(BackendError);
    expect(() => logSoftmax(Float32Array.of(1, 2), 2)).toThrow(RangeError);
  });
});
