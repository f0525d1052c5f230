/** The bundled model as a page gets it. */
import { expect } from "vitest";

/** Served by the test server. */
export const MODEL_URL = new URL("../../models/stories-4m-i2_s.gguf", import.meta.url).href;

export async function modelBytes(): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(MODEL_URL);
  return new Uint8Array(await response.arrayBuffer());
}

/** The error that `work` ends with. */
export async function errorOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  return expect.unreachable("it must throw");
}
