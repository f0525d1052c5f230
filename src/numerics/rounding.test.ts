import { describe, expect, it } from "vitest";
import { roundHalfEven } from "./rounding.ts";

describe("roundHalfEven", () => {
  it.each([
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [-0.5, 0],
    [-1.5, -2],
    [-2.5, -2],
    [0.49999999999999994, 0],
    [0.5000000000000001, 1],
    [-0, 0],
    [1e9 + 0.5, 1e9],
    [2 ** 50 + 0.5, 2 ** 50],
    [2 ** 50 + 1.5, 2 ** 50 + 2],
    [2 ** 51 - 0.5, 2 ** 51],
    [-(2 ** 51) + 0.75, -(2 ** 51) + 1],
  ])("of %s is %s", (x, want) => {
    expect(roundHalfEven(x)).toBe(want);
  });
  it("keeps NaN and infinities", () => {
    expect(roundHalfEven(Number.NaN)).toBeNaN();
    expect(roundHalfEven(Number.NEGATIVE_INFINITY)).toBe(Number.NEGATIVE_INFINITY);
  });
});
