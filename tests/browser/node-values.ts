/** Runs the bundled model in Node before the browser's tests and hands them what it gave: they must give the same bits. */
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { loadModel } from "../../src/index.ts";
import { type Observed, observe } from "./observed.ts";

declare module "vitest" {
  interface ProvidedContext {
    nodeValues: Observed;
  }
}

export async function nodeValues(): Promise<Observed> {
  const model = await loadModel(fileURLToPath(new URL("../../models/stories-4m-i2_s.gguf", import.meta.url)));
  try {
    return await observe(model);
  } finally {
    await model.dispose();
  }
}

export async function setup(project: TestProject): Promise<void> {
  project.provide("nodeValues", await nodeValues());
}
