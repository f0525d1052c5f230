/** The quickest proof that everything works together: loads the bundled model, writes a little text, prints it. `npm run test:quick` */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadModel } from "../../src/index.ts";

test("the bundled model writes a text", async () => {
  const model = await loadModel(fileURLToPath(new URL("../../models/stories-4m-i2_s.gguf", import.meta.url)));
  try {
    const prompt = "Once upon a time";
    const { text, tokens, timings } = await model.generate(prompt, { maxTokens: 48, temperature: 0 }).result;
    console.log(`${prompt}${text}\n(${model.info.backendDescription}; ${Math.round(timings.decodeTokensPerSecond)} tokens/s)`);
    expect(tokens).toHaveLength(48);
    expect(text).toMatch(/^, there was a little girl named Lily\. She loved to play/);
  } finally {
    await model.dispose();
  }
});
