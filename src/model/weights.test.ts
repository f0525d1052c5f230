/** Tensors that are missing, unknown or of the wrong shape: named, never skipped. */
import { describe, expect, it } from "vitest";
import { bitnetGguf } from "../../tests/support/synthetic.ts";
import { memorySource } from "../bytes/memory.ts";
import { GgufError, UnsupportedError } from "../errors.ts";
import { readGguf } from "../gguf/reader.ts";
import { type GgufInput, type GgufWriteTensor, writeGguf } from "../gguf/writer.ts";
import { programWeights } from "../graph/program.ts";
import { defineModel } from "./model.ts";

const base = bitnetGguf({ seed: 1, nLayer: 2, outputFormat: "F16" });

async function define(input: GgufInput) {
  return defineModel(await readGguf(memorySource(writeGguf(input))));
}

async function refusal(input: GgufInput): Promise<unknown> {
  return define(input).then(
    () => "accepted",
    (error: unknown) => error,
  );
}

const without = (name: string): GgufInput => ({ ...base, tensors: base.tensors.filter((tensor) => tensor.name !== name) });
const f32 = (name: string, shape: readonly number[]): GgufWriteTensor => ({
  name,
  format: "F32",
  shape,
  data: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)),
});

describe("tensors", () => {
  it("every tensor of the file is read by the Program", async () => {
    const { program } = await define(base);
    expect(new Set(programWeights(program).map(({ name }) => name))).toEqual(new Set(base.tensors.map(({ name }) => name)));
  });

  const needed = base.tensors.map(({ name }) => name).filter((name) => name !== "output.weight");
  it.each(needed)("%s is needed", async (name) => {
    const error = await refusal(without(name));
    expect(error).toBeInstanceOf(GgufError);
    expect(error).toMatchObject({ code: "tensor-missing", data: { tensor: name } });
    expect(String(error)).toContain(name);
  });

  it("without output.weight the embedding is the head", async () => {
    const { program } = await define(without("output.weight"));
    const head = program.ops.find((op) => op.kind === "matmul" && op.out === program.logits)!;
    expect(head).toMatchObject({ weight: { name: "token_embd.weight" } });
  });

  it.each([
    "blk.0.attn_q_norm.weight",
    "blk.1.attn_q.bias",
    "blk.2.attn_norm.weight",
    "blk.0.attn_q.scale.weight",
    "blk.0.attn_norm.scale",
    "rope_freqs.weight.x",
    "position_embd.weight",
  ])("%s is unknown: the file is refused by that name", async (name) => {
    const error = await refusal({ ...base, tensors: [...base.tensors, f32(name, [8])] });
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error).toMatchObject({ code: "tensor-unused", data: { found: [name] } });
    expect(String(error)).toContain(name);
  });

  it("rope_freqs.weight, and nothing like it, may stay unused", async () => {
    await expect(define({ ...base, tensors: [...base.tensors, f32("rope_freqs.weight", [16])] })).resolves.toBeDefined();
  });

  it.each([
    ["blk.0.attn_norm.weight", [127]],
    ["blk.0.attn_norm.weight", [128, 2]],
    ["blk.1.ffn_sub_norm.weight", [128]],
    ["blk.0.attn_k.weight", [128, 128]],
    ["blk.0.attn_k.weight", [64, 128]],
    ["blk.0.attn_k.weight", [128]],
    ["blk.1.ffn_down.weight", [128, 256]],
    ["output.weight", [128, 287]],
    ["output_norm.weight", [129]],
  ] as const)("%s of shape %j is refused at its place", async (name, shape) => {
    const input = { ...base, tensors: base.tensors.map((tensor) => (tensor.name === name ? f32(name, shape) : tensor)) };
    const error = await refusal(input);
    const file = await readGguf(memorySource(writeGguf(input)));
    const { byteOffset } = file.tensors.find((tensor) => tensor.name === name)!;
    expect(error).toBeInstanceOf(GgufError);
    expect(error).toMatchObject({ code: "tensor-shape", data: { tensor: name, got: shape, byteOffset } });
  });

  it("trailing dimensions of 1 do not count", async () => {
    const tensors = base.tensors.map((t) => (t.name === "output_norm.weight" ? { ...t, shape: [...t.shape, 1, 1] } : t));
    await expect(define({ ...base, tensors })).resolves.toBeDefined();
  });

  it("a .scale of two elements is refused", async () => {
    const error = await refusal({ ...base, tensors: [...base.tensors, f32("blk.0.attn_q.scale", [2])] });
    expect(error).toMatchObject({ code: "tensor-shape", data: { tensor: "blk.0.attn_q.scale" } });
  });
});
