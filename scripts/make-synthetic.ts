/**
 * Writes a seeded random-weight model of a true shape, so that a machine can be judged without a download:
 * `node scripts/make-synthetic.ts bitnet-2b-4t[:tq2_0] OUT.gguf [--seed N] [--layers N]`. `bitnet bench --synthetic NAME --save FILE` does the
 * same and measures it; this can also cut a model short.
 */
import { parseArgs } from "node:util";
import { writeSynthetic } from "../src/cli/bench/synthetic-file.ts";
import { SYNTHETIC_NAMES, syntheticModel } from "../src/synthetic/models.ts";

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seed: { type: "string", default: "1" }, layers: { type: "string" } },
  });
  const [name, path] = positionals;
  const seed = Number(values.seed);
  const nLayer = values.layers === undefined ? undefined : Number(values.layers);
  const isLayers = nLayer === undefined || (Number.isInteger(nLayer) && nLayer > 0);
  if (name === undefined || path === undefined || !Number.isInteger(seed) || !isLayers) {
    console.error(`usage: node scripts/make-synthetic.ts ${SYNTHETIC_NAMES.join("|")}[:TYPE] OUT.gguf [--seed N] [--layers N]`);
    process.exitCode = 2;
    return;
  }
  const { size } = await writeSynthetic(syntheticModel(name, nLayer), seed, path);
  console.log(`${path}: ${size} bytes, seed ${seed}`);
}

await main();
