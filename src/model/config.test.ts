/** Hyper-parameters of damaged and hostile files: each is refused with a code and the place of its key. */
import { describe, expect, it } from "vitest";
import { bitnetGguf } from "../../tests/support/synthetic.ts";
import { memorySource } from "../bytes/memory.ts";
import { GgufError } from "../errors.ts";
import type { GgufScalarType, GgufValue } from "../gguf/metadata.ts";
import { readGguf } from "../gguf/reader.ts";
import { type GgufInput, type GgufWriteEntry, writeGguf } from "../gguf/writer.ts";
import { defineModel } from "./model.ts";

const ARCH = "bitnet-b1.58";
const base = bitnetGguf({ seed: 1, architecture: ARCH, nLayer: 1 });

/** The file with `key` (without the architecture) replaced, added, or taken away. */
function changed(key: string, entry: { type: GgufScalarType; value: GgufValue } | null): GgufInput {
  const full = `${ARCH}.${key}`;
  const rest = base.metadata.filter((other) => other.key !== full);
  const added: GgufWriteEntry[] = entry === null ? [] : [{ key: full, ...entry }];
  return { ...base, metadata: [...rest, ...added] };
}

async function define(input: GgufInput) {
  return defineModel(await readGguf(memorySource(writeGguf(input))));
}

async function refusal(input: GgufInput): Promise<GgufError> {
  const error = await define(input).then(
    () => new Error("it was accepted"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof GgufError)) throw new Error("not a GgufError", { cause: error });
  return error;
}

describe("hyper-parameters", () => {
  const u32 = (value: number) => ({ type: "u32", value }) as const;
  const f32 = (value: number) => ({ type: "f32", value }) as const;
  const cases: readonly [string, string, { type: GgufScalarType; value: GgufValue }, string][] = [
    ["no layer", "block_count", u32(0), "gguf-hparam"],
    ["2^31 layers", "block_count", u32(2 ** 31), "gguf-hparam"],
    ["layers as text", "block_count", { type: "string", value: "2" }, "gguf-key-type"],
    ["half a layer", "block_count", f32(1.5), "gguf-hparam"],
    ["a negative number of layers", "block_count", { type: "i32", value: -1 }, "gguf-hparam"],
    ["a bool", "block_count", { type: "bool", value: true }, "gguf-key-type"],
    ["no head", "attention.head_count", u32(0), "gguf-hparam"],
    ["more KV heads than heads", "attention.head_count_kv", u32(8), "gguf-hparam"],
    ["KV heads that do not divide", "attention.head_count_kv", u32(3), "gguf-hparam"],
    ["no KV head", "attention.head_count_kv", u32(0), "gguf-hparam"],
    ["no width", "embedding_length", u32(0), "gguf-hparam"],
    ["a width that heads do not divide", "embedding_length", u32(126), "gguf-hparam"],
    ["a width of 2^32 - 1", "embedding_length", u32(2 ** 32 - 1), "gguf-hparam"],
    ["no feed-forward", "feed_forward_length", u32(0), "gguf-hparam"],
    ["an odd rotary width", "rope.dimension_count", u32(31), "gguf-hparam"],
    ["no rotary width", "rope.dimension_count", u32(0), "gguf-hparam"],
    ["a rotary width beyond the head", "rope.dimension_count", u32(34), "gguf-hparam"],
    ["a value length other than the key's", "attention.value_length", u32(16), "gguf-hparam"],
    ["a context of 2^63", "context_length", { type: "u64", value: 2n ** 63n }, "gguf-key-range"],
    ["a context of 2^53 - 1", "context_length", { type: "u64", value: 2 ** 53 - 1 }, "gguf-hparam"],
    ["no context", "context_length", u32(0), "gguf-hparam"],
    ["another vocabulary size", "vocab_size", u32(289), "gguf-hparam"],
    ["epsilon NaN", "attention.layer_norm_rms_epsilon", f32(Number.NaN), "gguf-hparam"],
    ["epsilon infinite", "attention.layer_norm_rms_epsilon", f32(Number.POSITIVE_INFINITY), "gguf-hparam"],
    ["epsilon negative", "attention.layer_norm_rms_epsilon", f32(-1e-5), "gguf-hparam"],
    ["epsilon 0", "attention.layer_norm_rms_epsilon", f32(0), "gguf-hparam"],
    ["rotary base NaN", "rope.freq_base", f32(Number.NaN), "gguf-hparam"],
    ["rotary base infinite", "rope.freq_base", f32(Number.POSITIVE_INFINITY), "gguf-hparam"],
    ["rotary base negative", "rope.freq_base", f32(-10_000), "gguf-hparam"],
    ["rotary base 0", "rope.freq_base", f32(0), "gguf-hparam"],
    ["a rotary scaling of another kind", "rope.scaling.type", { type: "string", value: "yarn" }, "gguf-hparam"],
  ];

  it.each(cases)("%s: %s", async (_, key, entry, code) => {
    const input = changed(key, entry);
    const error = await refusal(input);
    expect(error.code).toBe(code);
    const file = await readGguf(memorySource(writeGguf(input)));
    expect(error.byteOffset).toBe(file.metadata.entry(`${ARCH}.${key}`)!.byteOffset);
    expect(error.byteOffset).toBeGreaterThan(24);
    expect(error.message).toContain(`${ARCH}.${key}`);
  });

  it.each(["block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count"])(
    "%s is needed",
    async (key) => {
      const error = await refusal(changed(key, null));
      expect(error.code).toBe("gguf-hparam-missing");
      expect(error.data["key"]).toBe(`${ARCH}.${key}`);
    },
  );

  it("a missing epsilon is an error, not a guess", async () => {
    expect((await refusal(changed("attention.layer_norm_rms_epsilon", null))).code).toBe("gguf-hparam-missing");
  });

  it("513 layers are legal: what is missing is the second layer's tensor", async () => {
    const error = await refusal(changed("block_count", u32(513)));
    expect(error.code).toBe("tensor-missing");
    expect(error.data["tensor"]).toMatch(/^blk\.1\./);
  });

  it("what a file says reaches the config; what it leaves out has the family's default", async () => {
    expect((await define(base)).config).toMatchObject({
      architecture: ARCH,
      nCtxTrain: 256,
      nEmbd: 128,
      nLayer: 1,
      nHead: 4,
      nHeadKv: 2,
      headDim: 32,
      nFf: 256,
      nVocab: 288,
      rmsEps: Math.fround(1e-5),
      rope: { nDims: 32, theta: 500_000, factor: 1 },
    });
    expect((await define(changed("rope.freq_base", null))).config.rope.theta).toBe(10_000);
    expect((await define(changed("rope.dimension_count", null))).config.rope.nDims).toBe(32);
    const linear = changed("rope.scaling.type", { type: "string", value: "linear" });
    const scaled = { ...linear, metadata: [...linear.metadata, { key: `${ARCH}.rope.scaling.factor`, type: "f32", value: 4 }] };
    expect((await define(scaled as GgufInput)).config.rope.factor).toBe(4);
    const program = (await define(scaled as GgufInput)).program;
    const rope = program.ops.find((op) => op.kind === "rope")!;
    expect([...rope.rotary.frequencies.slice(0, 1)]).toEqual([0.25]);
  });

  it("a key prefix of another architecture does not count", async () => {
    const metadata = base.metadata.map((entry) => ({ ...entry, key: entry.key.replace(`${ARCH}.`, "bitnet.") }));
    expect((await refusal({ ...base, metadata })).code).toBe("gguf-hparam-missing");
  });
});
