import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadModel } from "../../../src/index.ts";
import { type Expected, observe } from "../expected.ts";

const file = new URL("../expected.json", import.meta.url);
const model = fileURLToPath(new URL("../../../models/stories-4m-i2_s.gguf", import.meta.url));

test.each(["auto", "plain"] as const)("Node gives what Chromium is held to, simd %s", async (simd) => {
  const loaded = await loadModel(model, { simd });
  try {
    const observed = await observe(loaded);
    if (process.env["UPDATE"] === "1") writeFileSync(file, `${JSON.stringify(observed)}\n`);
    expect(observed).toEqual(JSON.parse(readFileSync(file, "utf8")) as Expected);
  } finally {
    await loaded.dispose();
  }
});
