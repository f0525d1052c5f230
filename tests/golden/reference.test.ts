import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { checkGolden, readGolden } from "../support/golden.ts";
import { hasShared, sharedPath } from "../support/shared.ts";

describe.skipIf(!hasShared)("reference against bitnet.cpp and llama.cpp (skipped where the full sets are not beside the checkout)", () => {
  for (const name of ["bitnet-b1.58-i2_s", "bitnet-b1.58-f16", "bitnet-b1.58-i2_s-untied", "bitnet-b1.58-i2_s-embd-q8_0", "bitnet-i2_s", "bitnet-f16"]) {
    test(name, { timeout: 300_000 }, async () => {
      const golden = readGolden(sharedPath(`golden/${name}.json`));
      const worst = await checkGolden(referenceBackend, sharedPath(`golden/${name}.gguf`), golden);
      console.log(name, worst, golden.tolerance.nmse);
      expect(existsSync(sharedPath(`golden/${name}.gguf`))).toBe(true);
    });
  }
});
