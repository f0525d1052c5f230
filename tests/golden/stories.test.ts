/**
 * The trained stories model against its PyTorch reference: logits, greedy text, per-layer trace, perplexity. i2_s and f16 hold the
 * same weights; the f16 file rounds no activations, so it is checked on perplexity only, as bitnet.cpp does.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { memorySource } from "../../src/bytes/memory.ts";
import { readGguf } from "../../src/gguf/reader.ts";
import { tokenizerSpec } from "../../src/model/tokenizer-spec.ts";
import { logSumExp } from "../../src/sampling/log-softmax.ts";
import { createTokenizer } from "../../src/tokenizer/tokenizer.ts";
import { argmax, atOnce, openOn } from "../support/golden.ts";
import { fixturePath, hasShared, sharedPath } from "../support/shared.ts";
import { WASM_VARIANTS } from "../support/synthetic-programs.ts";

interface Prompt {
  readonly prompt: string;
  readonly token_ids: number[];
  readonly logits_top20: [number, number][];
  readonly logsumexp: number;
  readonly greedy_ids: number[];
  readonly greedy_top1_minus_top2: number[];
}

interface TraceEntry {
  readonly name: string;
  readonly [field: string]: unknown;
}

const golden = JSON.parse(readFileSync(fixturePath("stories-4m-golden.json"), "utf8")) as {
  prompts: Prompt[];
  trace_prompt0_last_position: TraceEntry[];
  bos_id: number;
};
const bundled = fileURLToPath(new URL("../../models/stories-4m-i2_s.gguf", import.meta.url));

const BACKENDS: Readonly<Record<string, Backend>> = {
  reference: referenceBackend,
  "wasm, the fastest": wasmBackend(),
  ...Object.fromEntries(WASM_VARIANTS.map(([variant, backend]) => [`wasm ${variant}`, backend])),
};

describe.each(Object.entries(BACKENDS))("stories model on %s", (_, backend) => {
  test("top-20 logits within 0.15, greedy tokens up to the first narrow step", async () => {
    const model = await openOn(backend, bundled, 128);
    let worst = 0;
    let nSteps = 0;
    for (const { token_ids, logits_top20, greedy_ids, greedy_top1_minus_top2, logsumexp, prompt } of golden.prompts) {
      const session = model.session();
      let logits = await session.prefill(token_ids, "last", atOnce);
      for (const [id, logit] of logits_top20) worst = Math.max(worst, Math.abs(logits[id]! - logit));
      expect(Math.abs(logSumExp(logits) - logsumexp), prompt).toBeLessThanOrEqual(0.15);
      for (let k = 0; k < greedy_ids.length && greedy_top1_minus_top2[k]! >= 0.1; k++) {
        expect(argmax(logits), `${prompt}: step ${k}`).toBe(greedy_ids[k]);
        nSteps++;
        logits = session.decode(greedy_ids[k]!);
      }
      session.dispose();
    }
    console.log(`stories: largest difference of a top-20 logit ${worst.toFixed(4)}, ${nSteps} greedy steps compared`);
    expect(worst).toBeLessThanOrEqual(0.15);
    expect(nSteps).toBeGreaterThan(100);
  });

  test("per-layer trace of the first prompt", async () => {
    const trace = golden.trace_prompt0_last_position;
    const labels = ["embd", "result_norm"];
    for (let layer = 0; layer < 6; layer++) {
      for (const name of ["q_rope", "k_rope", "v", "attn", "ffn_inp", "l_out"]) labels.push(`${name}-${layer}`);
    }
    const model = await openOn(backend, bundled, 64, labels);
    const ids = golden.prompts[0]!.token_ids;
    await model.session().prefill(ids, "last", atOnce);
    const lastRow = (label: string, nCols: number) => {
      const row = label === "result_norm" ? 0 : ids.length - 1;
      return model.loaded.read(label).subarray(row * nCols, (row + 1) * nCols);
    };
    const close = (label: string, nCols: number, first8: number[], within: number) => {
      const got = lastRow(label, nCols).subarray(0, 8);
      for (let i = 0; i < 8; i++)
        expect(Math.abs(got[i]! - first8[i]!), `${label}[${i}]: ${got[i]} for ${first8[i]}`).toBeLessThanOrEqual(within);
    };
    const l2 = (label: string, nCols: number, expected: number) => {
      const norm = Math.hypot(...lastRow(label, nCols));
      expect(Math.abs(norm / expected - 1), `${label}: norm ${norm} for ${expected}`).toBeLessThanOrEqual(0.005);
    };
    for (const entry of trace) {
      if (!entry.name.startsWith("blk.")) {
        close(entry.name, 256, entry["first8"] as number[], 0.1);
        l2(entry.name, 256, entry["l2"] as number);
        continue;
      }
      const layer = Number(entry.name.slice(4));
      close(`q_rope-${layer}`, 256, entry["q_rope_first8"] as number[], 0.1);
      close(`k_rope-${layer}`, 128, entry["k_rope_first8"] as number[], 0.1);
      close(`v-${layer}`, 128, entry["v_first8"] as number[], 0.1);
      close(`attn-${layer}`, 256, entry["attn_first8"] as number[], 0.1);
      close(`ffn_inp-${layer}`, 256, entry["ffn_inp_first8"] as number[], 0.3);
      close(`l_out-${layer}`, 256, entry["l_out_first8"] as number[], 0.3);
      l2(`l_out-${layer}`, 256, entry["l_out_l2"] as number);
    }
  });
});

describe.skipIf(!hasShared)("perplexity on held-out stories (skipped where the full sets are not beside the checkout)", () => {
  test.each(["i2_s", "f16"])("stories-4m-%s: perplexity within 0.003 · 7.256 of 7.256", async (format) => {
    const path = sharedPath(`models/stories-4m-${format}.gguf`);
    const file = await readGguf(memorySource(new Uint8Array(readFileSync(path))));
    const tokenizer = createTokenizer(tokenizerSpec(file.metadata, "bitnet-b1.58").spec);
    const text = readFileSync(sharedPath("models/heldout.txt"), "utf8");
    const ids = tokenizer.encode(text, { addSpecial: true });
    const model = await openOn(wasmBackend(), path, 512);
    let nll = 0;
    let scored = 0;
    for (let begin = 0; begin + 512 <= ids.length; begin += 512) {
      const window = [golden.bos_id, ...ids.slice(begin + 1, begin + 512)];
      const session = model.session();
      const logits = await session.prefill(window, "all", atOnce);
      for (let position = 256; position < 511; position++) {
        const row = logits.subarray(position * 2048, (position + 1) * 2048);
        nll += logSumExp(row) - row[window[position + 1]!]!;
        scored++;
      }
      session.dispose();
    }
    const perplexity = Math.exp(nll / scored);
    console.log(`stories-4m-${format}: perplexity ${perplexity.toFixed(4)} over ${scored} tokens`);
    expect(scored).toBe(4335);
    expect(Math.abs(perplexity / 7.256 - 1)).toBeLessThanOrEqual(0.003);
  });
});
