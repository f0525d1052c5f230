/** A page's own worker that uses the engine: answers `{url, prompt, options}` with the tokens, or with the error's words. */
import { type GenerateOptions, loadModel } from "../../src/index.ts";

self.onmessage = async ({ data }: MessageEvent<{ url: string; prompt: string; options: GenerateOptions }>) => {
  try {
    const model = await loadModel(data.url);
    const { tokens } = await model.generate(data.prompt, data.options).result;
    await model.dispose();
    self.postMessage({ tokens });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};
