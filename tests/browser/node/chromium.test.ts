import { expect, test } from "vitest";
import { findChromium, INSTALL_CHROMIUM } from "../../support/chromium.ts";

const isCi = process.env["CI"] !== undefined && process.env["CI"] !== "" && process.env["CI"] !== "false";
const chromium = findChromium();

if (chromium === null && !isCi) {
  test.skip(`the engine and its page in Chromium (skipped: no Chromium was found; ${INSTALL_CHROMIUM})`, () => {});
} else {
  test("there is a Chromium for the browser tests", () => {
    expect(chromium, `no Chromium was found: ${INSTALL_CHROMIUM}`).not.toBeNull();
  });
}
