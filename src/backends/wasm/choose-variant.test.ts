/** Which variants may run, and that a choice is one of them. Their bits are compared in tests/conformance. */
import { describe, expect, it } from "vitest";
import { probeFeatures } from "../../wasm-asm/probe.ts";
import { candidates, chooseVariant } from "./choose-variant.ts";

const features = (relaxedDotI32: boolean, relaxedDotI16: boolean) => probeFeatures({ relaxedDotI32, relaxedDotI16 });

describe("variants", () => {
  it.each([
    [false, false, ["plain"]],
    [true, false, ["relaxed", "relaxed-swizzle", "plain"]],
    [false, true, ["relaxed-i16", "relaxed-swizzle", "plain"]],
    [true, true, ["relaxed", "relaxed-i16", "relaxed-swizzle", "plain"]],
  ] as const)("relaxed dots of 32 bits %s, of 16 bits %s: %j", (i32, i16, expected) => {
    expect(candidates(features(i32, i16))).toEqual(expected);
  });

  it("the choice is a candidate, says why, and stays", () => {
    const chosen = chooseVariant();
    const possible = candidates(probeFeatures());
    expect(possible).toContain(chosen.variant);
    expect(chosen.reason).toMatch(possible.length > 1 ? /^timed: (nearly )?the fastest of \d/ : /no relaxed SIMD/);
    expect(chooseVariant()).toBe(chosen);
  });

  it("what is asked for is given where it computes right, and plain elsewhere", () => {
    expect(chooseVariant("plain")).toEqual({ variant: "plain", reason: "asked for" });
    const { variant, reason } = chooseVariant("relaxed-i16");
    const isPossible = candidates(probeFeatures()).includes("relaxed-i16");
    expect(variant).toBe(isPossible ? "relaxed-i16" : "plain");
    expect(reason).toMatch(isPossible ? /^asked for$/ : /does not compute it right/);
  });
});
