/**
 * BitNet b1.58: a Llama-like decoder with ternary matrices, a norm inside each branch and, in the 2B-4T generation, ReLU² in the FFN.
 * Sources: "The Era of 1-bit LLMs", arXiv 2402.17764; "BitNet b1.58 2B4T Technical Report", arXiv 2504.12285, §2;
 * tensor names and architecture strings: microsoft/BitNet@01eb415, utils/convert-ms-to-gguf-bitnet.py.
 *
 * `bitnet` (2024) is SiLU; `bitnet-25` and `bitnet-b1.58` (2025) are ReLU². The file does not say, and the wrong one reads fluently.
 */
import type { Graph } from "../../graph/graph.ts";
import type { ActivationFn } from "../../graph/ops.ts";
import type { Tensor } from "../../graph/tensor.ts";
import { type ModelConfig, readConfig } from "../config.ts";
import { defineFamily } from "../family.ts";
import type { HyperParameters } from "../hyper-parameters.ts";
import { linear, rotary } from "../layers.ts";
import type { Weights } from "../weights.ts";

interface BitnetConfig extends ModelConfig {
  readonly activation: ActivationFn;
}

export const bitnet = defineFamily<BitnetConfig>({
  architectures: ["bitnet-b1.58", "bitnet-25", "bitnet"],
  // Llama 3's precomputed rotary factors: written by some converters, all ones for these models' plain rotary embedding
  ignorable: [/^rope_freqs\.weight$/],
  // read side by side on the stories model: cooler repeats itself, a stronger penalty forgets who the story is about
  defaultSampling: { temperature: 0.6, topK: 40, minP: 0.05, repeatPenalty: 1.05, repeatLastN: 64 },

  readConfig(h, weights) {
    const config = readConfig(h, weights.nRows("token_embd.weight"));
    return { ...config, activation: ffnActivation(h, config) };
  },

  forward(g, config, w) {
    const embedding = w.matrix("token_embd.weight", config.nEmbd, config.nVocab);
    let x = g.label("embd", g.embed(embedding)); // [nTokens, nEmbd]
    for (let layer = 0; layer < config.nLayer; layer++) {
      x = g.label(`ffn_inp-${layer}`, g.add(x, attention(g, config, w, layer, x)));
      x = g.label(`l_out-${layer}`, g.add(x, ffn(g, config, w, layer, x)));
    }
    const last = g.selectOutputs(x); // [nOutputs, nEmbd]
    const h = g.label("result_norm", g.rmsNorm(last, w.vector("output_norm.weight", config.nEmbd), config.rmsEps));
    const head = w.has("output.weight") ? w.matrix("output.weight", config.nEmbd, config.nVocab) : embedding;
    return g.matmul(h, head); // [nOutputs, nVocab]
  },
});

/** o_proj(sub_norm(softmax(q·Kᵀ/√d)·V)) with grouped KV heads. */
function attention(g: Graph, config: BitnetConfig, w: Weights, layer: number, x: Tensor): Tensor {
  const { nEmbd, nHead, nHeadKv, headDim, rmsEps } = config;
  const blk = `blk.${layer}`;
  const rope = rotary(config.rope, "neox");
  const h = g.rmsNorm(x, w.vector(`${blk}.attn_norm.weight`, nEmbd), rmsEps);
  const q = g.label(`q_rope-${layer}`, g.rope(linear(g, h, w, `${blk}.attn_q`, nHead * headDim), headDim, rope));
  const k = g.label(`k_rope-${layer}`, g.rope(linear(g, h, w, `${blk}.attn_k`, nHeadKv * headDim), headDim, rope));
  const v = g.label(`v-${layer}`, linear(g, h, w, `${blk}.attn_v`, nHeadKv * headDim));
  const kv = g.kvWrite(k, v, nHeadKv, headDim);
  const mixed = g.label(`attn-${layer}`, g.attention(q, kv, nHead, 1 / Math.sqrt(headDim))); // [nTokens, nHead · headDim]
  const normed = g.rmsNorm(mixed, w.vector(`${blk}.attn_sub_norm.weight`, nHead * headDim), rmsEps);
  return linear(g, normed, w, `${blk}.attn_output`, nEmbd);
}

/** down(sub_norm(activation(gate(x)) · up(x))) */
function ffn(g: Graph, config: BitnetConfig, w: Weights, layer: number, x: Tensor): Tensor {
  const { nEmbd, nFf, rmsEps } = config;
  const blk = `blk.${layer}`;
  const h = g.rmsNorm(x, w.vector(`${blk}.ffn_norm.weight`, nEmbd), rmsEps);
  const gate = g.activation(config.activation, linear(g, h, w, `${blk}.ffn_gate`, nFf)); // [nTokens, nFf]
  const up = linear(g, h, w, `${blk}.ffn_up`, nFf);
  const product = g.rmsNorm(g.mul(gate, up), w.vector(`${blk}.ffn_sub_norm.weight`, nFf), rmsEps);
  return linear(g, product, w, `${blk}.ffn_down`, nEmbd);
}

/**
 * ReLU² for the 2025 architectures whatever the file says; for `bitnet` the file's `hidden_activation`, else ReLU² if the shape is that
 * of the 2B-4T (newer converters write arch `bitnet` for it), else SiLU.
 */
function ffnActivation(h: HyperParameters, config: ModelConfig): ActivationFn {
  if (h.architecture !== "bitnet") return "relu2";
  const key = h.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  const stated = h.string(key);
  if (stated !== undefined) {
    const known: ReadonlyMap<string, ActivationFn> = new Map([
      ["relu2", "relu2"],
      ["relu_squared", "relu2"],
      ["relu_sqr", "relu2"],
      ["silu", "silu"],
      ["swish", "silu"],
    ]);
    const fn = known.get(stated);
    h.require(fn !== undefined, key, stated, [...known.keys()].join(", "));
    return fn!;
  }
  const is2b4t = config.nLayer === 30 && config.nEmbd === 2560 && config.nFf === 6912 && config.nVocab === 128_256;
  return is2b4t ? "relu2" : "silu";
}
