import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadModel } from "../../../src/index.ts";
import { nodeValues } from "../node-values.ts";
import { observe } from "../observed.ts";

const path = fileURLToPath(new URL("../../../models/stories-4m-i2_s.gguf", import.meta.url));

test.each([{ simd: "plain" }, { threads: 1 }, { threads: 2 }, { nCtx: 128 }] as const)(
  "Node gives the same bits with %o",
  async (options) => {
    const model = await loadModel(path, options);
    try {
      expect(await observe(model)).toEqual(await nodeValues());
    } finally {
      await model.dispose();
    }
  },
);
