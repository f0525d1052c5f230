import fc from "fast-check";
import { expect, test } from "vitest";
import { StopMatcher } from "./stop.ts";

test("text before the first stop string comes out, however it is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("a", "b", "ab", "ba", "aab", "")),
      fc.array(fc.constantFrom("aab", "bb", "abab", "a"), { minLength: 1, maxLength: 3 }),
      (pieces, stops) => {
        const all = pieces.join("");
        const firsts = stops.map((stop) => all.indexOf(stop)).filter((at) => at >= 0);
        // the slow definition: the matcher may stop only once a stop string is complete, at the earliest such place
        const matcher = new StopMatcher(stops);
        let out = "";
        let isStopped = false;
        for (const piece of pieces) {
          const step = matcher.push(piece);
          out += step.text;
          isStopped = step.isStopped;
          if (isStopped) break;
        }
        if (!isStopped) out += matcher.end();
        expect(isStopped).toBe(firsts.length > 0);
        if (!isStopped) expect(out).toBe(all);
        for (const stop of stops) expect(out.includes(stop)).toBe(false);
        expect(all.startsWith(out)).toBe(true);
      },
    ),
  );
});

test("nothing is held back without stop strings", () => {
  expect(new StopMatcher([]).push("abc")).toEqual({ text: "abc", isStopped: false });
});

test("the beginning of a stop string is held back, then given", () => {
  const matcher = new StopMatcher(["\nUser:"]);
  expect(matcher.push("Hi\nUs").text).toBe("Hi");
  expect(matcher.push("ual").text).toBe("\nUsual");
  expect(matcher.push("\n").text).toBe("");
  expect(matcher.end()).toBe("\n");
});
