/**
 * Every golden of the families and formats that the engine has, on every backend, by the rule of the set's README. The numbers come
 * from bitnet.cpp, llama.cpp and numpy, never from this engine.
 */
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { checkGolden, readGolden } from "../support/golden.ts";
import { fixturePath, hasShared, sharedPath } from "../support/shared.ts";
import { WASM_VARIANTS } from "../support/synthetic-programs.ts";

const BACKENDS: Readonly<Record<string, Backend>> = {
  reference: referenceBackend,
  "wasm, the fastest": wasmBackend(),
  ...Object.fromEntries(WASM_VARIANTS.map(([variant, backend]) => [`wasm ${variant}`, backend])),
};

const FIXTURES = ["bitnet-b1.58-i2_s", "bitnet-b1.58-f16"];
const FULL = ["bitnet-b1.58-i2_s-untied", "bitnet-b1.58-i2_s-embd-q8_0", "bitnet-i2_s", "bitnet-f16"];

for (const [backendName, backend] of Object.entries(BACKENDS)) {
  describe(`goldens on ${backendName}`, () => {
    for (const name of FIXTURES) {
      test(name, async () => {
        const golden = readGolden(fixturePath(`golden/${name}.json`));
        expect(await checkGolden(backend, fixturePath(`golden/${name}.gguf`), golden)).toBeLessThanOrEqual(golden.tolerance.nmse);
      });
    }
    describe.skipIf(!hasShared)("full set (skipped where it is not beside the checkout)", () => {
      for (const name of FULL) {
        test(name, async () => {
          const golden = readGolden(sharedPath(`golden/${name}.json`));
          expect(await checkGolden(backend, sharedPath(`golden/${name}.gguf`), golden)).toBeLessThanOrEqual(
            golden.tolerance.nmse,
          );
        });
      }
    });
  });
}
