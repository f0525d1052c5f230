import { expect, test } from "vitest";
import { ContextOverflowError, LmError } from "../errors.ts";
import { UsageError } from "./args.ts";
import { errorLine } from "./error-line.ts";
import { bytes, counted, modelText, oneLine } from "./output.ts";

test("an error is one line without control characters", () => {
  expect(errorLine(new LmError("x", "file: 'a\nb\u001b[31m' is bad", { hint: "Do this." }))).toBe(
    "bitnet: file: 'a b\ufffd[31m' is bad (Do this)",
  );
  expect(errorLine(new LmError("x", "bad"))).toBe("bitnet: bad");
  expect(errorLine(new UsageError("-n is 'x'"))).toBe("bitnet: -n is 'x'");
  expect(errorLine(new TypeError("boom"))).toBe("bitnet: unexpected: boom (--debug shows where)");
  expect(errorLine("boom")).toBe("bitnet: unexpected: boom");
});

test("an overflow names the flag, not the option of the library", () => {
  expect(errorLine(new ContextOverflowError("context-overflow", "too long", { hint: "a larger nCtx" }))).toBe(
    "bitnet: too long (Shorten the prompt, or give a larger -c)",
  );
});

test("a terminal gets no commands from a model, a pipe gets every byte", () => {
  const text = "a\u001b]0;title\u0007\tb\n\u009b1m";
  expect(modelText({ isTTY: true } as never, text)).toBe("a\ufffd]0;title\ufffd\tb\n\ufffd1m");
  expect(modelText({} as never, text)).toBe(text);
  expect(oneLine("a \r\n b")).toBe("a b");
});

test("sizes and counts", () => {
  expect([0, 1023, 1024, 1536 * 1024, 3 * 2 ** 30, 200 * 2 ** 20].map(bytes)).toEqual([
    "0 B",
    "1023 B",
    "1.0 KiB",
    "1.5 MiB",
    "3.0 GiB",
    "200 MiB",
  ]);
  expect([counted(1, "token"), counted(1234, "token")]).toEqual(["1 token", "1,234 tokens"]);
});
