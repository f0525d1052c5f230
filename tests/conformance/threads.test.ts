/** Several threads give the bits of one; what can go wrong with helpers becomes an error and no hang. */
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import type { HelperHandle, LoadedProgram, ThreadOptions } from "../../src/backends/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import type { Variant } from "../../src/backends/wasm/variant.ts";
import { memorySource } from "../../src/bytes/memory.ts";
import { readGguf } from "../../src/gguf/reader.ts";
import { defineModel } from "../../src/model/model.ts";
import { FileWeightReader } from "../../src/model/weight-reader.ts";
import { makeBitnetModel } from "../support/synthetic.ts";

const workers: Worker[] = [];

function spawn(): HelperHandle {
  const worker = new Worker(new URL("../../src/engine/node-worker.ts", import.meta.url), { execArgv: [] });
  workers.push(worker);
  worker.unref();
  worker.postMessage({ type: "role", role: "helper" });
  return {
    post: (message) => worker.postMessage(message),
    onmessage: (listener) => worker.on("message", listener),
    onerror: (listener) => {
      worker.on("error", listener);
      worker.on("exit", (code) => listener(new Error(`exit ${code}`)));
    },
    terminate: () => void worker.terminate(),
  };
}

const threads = (wanted: ThreadOptions["wanted"], more: Partial<ThreadOptions> = {}): ThreadOptions => ({
  wanted,
  hardwareConcurrency: 2,
  unavailable: null,
  spawn,
  ...more,
});

async function load(bytes: Uint8Array, options: ThreadOptions | undefined, variant?: Variant): Promise<LoadedProgram> {
  const source = memorySource(bytes);
  const file = await readGguf(source);
  const { program } = defineModel(file);
  return wasmBackend({ variant }).load(program, new FileWeightReader(source, file), {
    nPages: 4,
    maxTokens: 64,
    maxOutputs: 8,
    threads: options,
  });
}

/** Logits of a prompt in uneven pieces, then of a few single tokens. */
function run(loaded: LoadedProgram): Float32Array {
  const rows: number[] = [];
  let position = 0;
  for (const n of [7, 1, 64, 2, 1, 1, 30, 1]) {
    const tokens = Array.from({ length: n }, (_, i) => (31 * (position + i) + 7) % 256);
    const outputs = n > 2 ? [0, n - 1] : [n - 1];
    rows.push(...loaded.run({ tokens, spans: [{ nTokens: n, position, pages: [2, 0, 1, 3] }], outputs }));
    position += n;
  }
  return Float32Array.from(rows);
}

describe("threads", () => {
  test.each([
    ["I2_S", { seed: 3, weightFormat: "I2_S" }],
    [
      "F16 weights, Q8_0 embedding, odd sizes",
      { seed: 4, weightFormat: "F16", embdFormat: "Q8_0", nHead: 3, nHeadKv: 1, nEmbd: 96, nFf: 128, nVocab: 291 },
    ],
  ] as const)("1 to 8 threads are bit-equal: %s", { timeout: 120_000 }, async (_, shape) => {
    const bytes = makeBitnetModel(shape);
    const one = await load(bytes, undefined);
    const expected = run(one);
    for (const [n, variant] of [
      [2, "plain"],
      [2, "relaxed"],
      [3, "relaxed-swizzle"],
      [4, "relaxed-i16"],
      [8, "plain"],
    ] as const) {
      const many = await load(bytes, threads(n), variant);
      expect(many.threads).toBe(n);
      expect(run(many), `${n} threads, ${variant}`).toEqual(expected);
      many.dispose();
    }
  });

  test("auto measures and says so; a wrong hardwareConcurrency does no harm", { timeout: 120_000 }, async () => {
    const bytes = makeBitnetModel({ seed: 5 });
    const expected = run(await load(bytes, undefined));
    for (const hardwareConcurrency of [0, 1, 2, 128, Number.NaN]) {
      const auto = await load(bytes, threads("auto", { hardwareConcurrency }));
      expect(auto.threads).toBeGreaterThanOrEqual(1);
      expect(auto.threadsReason).not.toBe("");
      expect(run(auto)).toEqual(expected);
      auto.dispose();
    }
  });

  test("where memory cannot be shared there is one thread, with the reason", async () => {
    const loaded = await load(makeBitnetModel({ seed: 6 }), threads(4, { unavailable: "the page is not cross-origin isolated" }));
    expect(loaded.threads).toBe(1);
    expect(loaded.threadsReason).toContain("not cross-origin isolated");
  });

  test("a helper that dies becomes an error of the next step, not a hang", { timeout: 60_000 }, async () => {
    const loaded = await load(makeBitnetModel({ seed: 7 }), threads(2));
    run(loaded);
    await workers.at(-1)!.terminate();
    // its death is told by an event
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(() => run(loaded)).toThrow(expect.objectContaining({ code: "worker-failed" }));
    loaded.dispose();
  });

  test("a helper that cannot start fails the load that asked for it; auto goes on with the threads that there are", {
    timeout: 60_000,
  }, async () => {
    const cannot = {
      spawn() {
        const worker = new Worker("throw new Error('no')", { eval: true });
        return {
          post: (message: unknown) => worker.postMessage(message),
          onmessage: (listener: (message: unknown) => void) => worker.on("message", listener),
          onerror: (listener: (error: unknown) => void) => worker.on("error", listener),
          terminate: () => void worker.terminate(),
        };
      },
    };
    const bytes = makeBitnetModel({ seed: 8 });
    await expect(load(bytes, threads(2, cannot))).rejects.toMatchObject({ code: "worker-failed" });
    const auto = await load(bytes, threads("auto", cannot));
    expect(auto.threads).toBe(1);
    expect(auto.threadsReason).toContain("did not start");
    expect(run(auto)).toEqual(run(await load(bytes, undefined)));
  });
});
