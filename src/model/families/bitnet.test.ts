/** The family's own rules: which activation, where the sub-norms stand, what a `.scale` does. */
import { describe, expect, it } from "vitest";
import { atOnce, nmse, openOn } from "../../../tests/support/golden.ts";
import { bitnetGguf, bitnetMetadata, bitnetShape, bitnetTensors } from "../../../tests/support/synthetic.ts";
import { referenceBackend } from "../../backends/reference/backend.ts";
import { wasmBackend } from "../../backends/wasm/backend.ts";
import { memorySource } from "../../bytes/memory.ts";
import { readGguf } from "../../gguf/reader.ts";
import { type GgufInput, type GgufWriteEntry, ggufHeader, writeGguf } from "../../gguf/writer.ts";
import type { Op } from "../../graph/ops.ts";
import { defineModel } from "../model.ts";

async function define(input: GgufInput) {
  return defineModel(await readGguf(memorySource(writeGguf(input))));
}

async function activationOf(architecture: string, extra: readonly GgufWriteEntry[] = []): Promise<string> {
  const input = bitnetGguf({ seed: 1, architecture, nLayer: 1 });
  const { program } = await define({ ...input, metadata: [...input.metadata, ...extra] });
  return program.ops.find((op) => op.kind === "activation")!.fn;
}

const stated = (key: string, value: string): GgufWriteEntry => ({ key, type: "string", value });

describe("the FFN's activation", () => {
  it.each(["bitnet-b1.58", "bitnet-25"])("%s is ReLU², whatever the file says", async (architecture) => {
    expect(await activationOf(architecture)).toBe("relu2");
    expect(await activationOf(architecture, [stated(`${architecture}.hidden_activation`, "silu")])).toBe("relu2");
  });

  it("bitnet is SiLU unless the file states another", async () => {
    expect(await activationOf("bitnet")).toBe("silu");
    expect(await activationOf("bitnet", [stated("bitnet.hidden_activation", "relu2")])).toBe("relu2");
    expect(await activationOf("bitnet", [stated("bitnet.hidden_act", "relu_squared")])).toBe("relu2");
    expect(await activationOf("bitnet", [stated("bitnet.hidden_activation", "silu")])).toBe("silu");
  });

  it.each(["hidden_activation", "hidden_act"])("an unknown one in %s is refused at its place", async (key) => {
    const input = bitnetGguf({ seed: 1, architecture: "bitnet", nLayer: 1 });
    const bytes = writeGguf({ ...input, metadata: [...input.metadata, stated(`bitnet.${key}`, "gelu")] });
    const file = await readGguf(memorySource(bytes));
    const { byteOffset } = file.metadata.entry(`bitnet.${key}`)!;
    expect(() => defineModel(file)).toThrow(expect.objectContaining({ code: "gguf-hparam" }));
    expect(() => defineModel(file)).toThrow(expect.objectContaining({ byteOffset }));
  });

  it("bitnet with the shape of the 2B-4T is ReLU²; one layer less is not", async () => {
    const activationOfShape = async (nLayer: number) => {
      const shape = bitnetShape({
        architecture: "bitnet",
        nEmbd: 2560,
        nLayer,
        nHead: 20,
        nHeadKv: 5,
        headDim: 128,
        nFf: 6912,
        nVocab: 128_256,
      });
      const tensors = bitnetTensors(shape);
      const header = ggufHeader({
        metadata: bitnetMetadata(shape, "no weights").filter(({ key }) => !key.startsWith("tokenizer.")),
        tensors,
      });
      // a file of zeros behind its header: only the header is read here
      const source = {
        ...memorySource(header.bytes),
        size: header.size,
        read: async (offset: number, length: number) => {
          const bytes = new Uint8Array(length);
          bytes.set(header.bytes.subarray(offset, offset + length));
          return bytes;
        },
      };
      return defineModel(await readGguf(source)).program.ops.find((op) => op.kind === "activation")!.fn;
    };
    expect(await activationOfShape(30)).toBe("relu2");
    expect(await activationOfShape(29)).toBe("silu");
  });
});

describe("the pass", () => {
  it("has its sub-norms in front of attn_output and ffn_down", async () => {
    const { program } = await define(bitnetGguf({ seed: 1, nLayer: 1 }));
    const behind = (stem: string) => {
      const product = program.ops.find(
        (op): op is Extract<Op, { kind: "matmul" }> => op.kind === "matmul" && op.weight.name.includes(stem),
      )!;
      const input = program.ops.find((op) => op.kind !== "kvWrite" && op.out === product.x)!;
      return input.kind === "rmsNorm" ? input.weight.name : input.kind;
    };
    expect(behind("attn_output")).toBe("blk.0.attn_sub_norm.weight");
    expect(behind("ffn_down")).toBe("blk.0.ffn_sub_norm.weight");
    expect(behind("attn_q")).toBe("blk.0.attn_norm.weight");
    expect(behind("ffn_gate")).toBe("blk.0.ffn_norm.weight");
  });

  it("a .scale multiplies its product: as if the tensor's own scale were that much larger", async () => {
    // powers of two, so that the product of the scales is exact
    const scales = { "blk.0.attn_v": 2, "blk.0.ffn_up": 0.5, "blk.1.attn_q": 2, "blk.1.ffn_down": 4 };
    const input = bitnetGguf({ seed: 3 });
    const beside = {
      ...input,
      tensors: [
        ...input.tensors,
        ...Object.entries(scales).map(([stem, scale]) => ({
          name: `${stem}.scale`,
          format: "F32" as const,
          shape: [1],
          data: new Uint8Array(Float32Array.of(scale).buffer),
        })),
      ],
    };
    const inside = {
      ...input,
      tensors: input.tensors.map((tensor) => {
        const factor = (scales as Record<string, number>)[tensor.name.replace(/\.weight$/, "")];
        if (factor === undefined) return tensor;
        const data = tensor.data.slice();
        const view = new DataView(data.buffer, data.length - 32);
        view.setFloat32(0, view.getFloat32(0, true) * factor, true);
        return { ...tensor, data };
      }),
    };
    const tokens = [5, 250, 17, 99, 3, 280];
    for (const backend of [referenceBackend, wasmBackend({ variant: "plain" }), wasmBackend()]) {
      const logits: Float32Array[] = [];
      for (const file of [beside, inside, input]) {
        const { loaded, session } = await openOn(backend, writeGguf(file), 64);
        logits.push(await session().prefill(tokens, "all", atOnce));
        loaded.dispose();
      }
      expect(logits[0], backend.name).toEqual(logits[1]);
      expect(nmse(logits[0]!, logits[2]!), `${backend.name}: and it matters`).toBeGreaterThan(1e-3);
    }
  });
});
