import { describe, expect, test } from "vitest";
import { fittingLayout, type I2sLayout, layoutCheck } from "./layout.ts";
import { repeatedShare } from "./repetition.ts";

const scores = (x86: number | null, neon: number | null, rows4: number | null) =>
  new Map<I2sLayout, number | null>([
    ["x86", x86],
    ["neon", neon],
    ["rows4", rows4],
  ]);

describe("the layout that fits", () => {
  test("is far better than chance and than the others", () => {
    expect(fittingLayout(scores(1.6, 8.5, 9.9), 7.6)).toBe("x86");
    expect(fittingLayout(scores(8.5, 9.9, 1.6), 7.6)).toBe("rows4");
  });

  test("is unknown where all are no better than chance, or two are alike", () => {
    expect(fittingLayout(scores(10.4, 10.4, 11.1), 6.2)).toBeNull();
    expect(fittingLayout(scores(5.5, 8, 9), 6.2)).toBeNull();
    expect(fittingLayout(scores(2, 2.5, 9), 7.6)).toBeNull();
    expect(fittingLayout(scores(null, null, null), 7.6)).toBeNull();
  });

  test("may be the only one that can be read", () => {
    expect(fittingLayout(scores(null, 2, null), 7.6)).toBe("neon");
  });

  test("is named with the option to use where another was assumed", () => {
    const check = layoutCheck(scores(8.5, 1.6, null), 7.6, "x86");
    expect(check.ok).toBe(false);
    expect(check.detail).toContain("--i2s-layout neon");
    expect(check.detail).toContain("rows4 cannot be read");
    expect(layoutCheck(scores(8.5, 1.6, null), 7.6, "neon")).toMatchObject({ ok: true });
  });
});

test("the repeated share of a loop is high, of a text low", () => {
  expect(repeatedShare(Array.from({ length: 64 }, (_, i) => i % 3))).toBeGreaterThan(0.9);
  expect(repeatedShare(Array.from({ length: 64 }, () => 7))).toBeCloseTo(60 / 61);
  expect(repeatedShare(Array.from({ length: 64 }, (_, i) => i))).toBe(0);
  expect(repeatedShare([1, 2])).toBe(0);
});
