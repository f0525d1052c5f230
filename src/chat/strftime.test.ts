import { describe, expect, it } from "vitest";
import { strftime } from "./strftime.ts";

describe("strftime", () => {
  const date = new Date(2026, 0, 5, 15, 4, 9);
  // As Python's datetime(2026, 1, 5, 15, 4, 9).strftime on Linux with the C locale.
  it.each([
    ["%d %b %Y", "05 Jan 2026"],
    ["%B %d, %Y", "January 05, 2026"],
    ["%A, %-d. %-m. %y", "Monday, 5. 1. 26"],
    ["%a %e", "Mon  5"],
    ["%Y-%m-%dT%H:%M:%S", "2026-01-05T15:04:09"],
    ["%F %T", "2026-01-05 15:04:09"],
    ["%I:%M %p", "03:04 PM"],
    ["%-I %-H %-M", "3 15 4"],
    ["%j %-j %u %w", "005 5 1 1"],
    ["%c", "Mon Jan  5 15:04:09 2026"],
    ["%D", "01/05/26"],
    ["100%% %Q %", "100% %Q %"],
    ["[%Z%z]", "[]"],
  ])("%s", (format, want) => {
    expect(strftime(date, format)).toBe(want);
  });
  it("counts days past a leap day, and midnight as twelve", () => {
    expect(strftime(new Date(2024, 11, 31, 0, 30), "%j %I %p")).toBe("366 12 AM");
  });
});
