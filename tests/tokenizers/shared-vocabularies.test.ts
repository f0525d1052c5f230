/** Ids of llama.cpp for whole vocabularies; needs the full sets beside the checkout. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { memorySource } from "../../src/bytes/memory.ts";
import { type GgufFile, GgufMetadata } from "../../src/gguf/metadata.ts";
import { readGguf } from "../../src/gguf/reader.ts";
import { tokenizerSpec } from "../../src/model/tokenizer-spec.ts";
import { createTokenizer, type Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { hasShared, sharedPath } from "../support/shared.ts";

const NAMES = ["llama-bpe", "qwen2", "gpt-2", "llama-spm", "phi-3", "bert-bge"];

async function readFile(path: string): Promise<GgufFile> {
  return readGguf(memorySource(new Uint8Array(readFileSync(sharedPath(path)))));
}

async function open(path: string): Promise<{ tokenizer: Tokenizer; warnings: string[]; specMs: number }> {
  const { metadata } = await readFile(path);
  const start = performance.now();
  const { spec, warnings } = tokenizerSpec(metadata, metadata.string("general.architecture")!);
  return { tokenizer: createTokenizer(spec), warnings, specMs: performance.now() - start };
}

describe.skipIf(!hasShared)("vocabularies of llama.cpp (skipped: the full sets are not beside this checkout)", () => {
  it.each(NAMES)("%s gives the expected ids for every text", async (name) => {
    const path = `tokenizers/ggml-vocab-${name}.gguf`;
    const { tokenizer, warnings } = await open(path);
    expect(warnings).toEqual([]);
    const texts = readFileSync(sharedPath(`${path}.inp`), "utf8").split("\n__ggml_vocab_test__\n");
    const lines = readFileSync(sharedPath(`${path}.out`), "utf8").split("\n");
    expect(texts.length).toBe(47);
    for (let i = 0; i < 46; i++) {
      const expected = lines[i]!.trim() === "" ? [] : lines[i]!.trim().split(/\s+/).map(Number);
      expect(tokenizer.encode(texts[i]!), `text ${i}: ${JSON.stringify(texts[i])}`).toEqual(expected);
    }
  });

  it.each(NAMES.filter((name) => name !== "bert-bge"))("%s decodes what it encodes", async (name) => {
    const path = `tokenizers/ggml-vocab-${name}.gguf`;
    const { tokenizer } = await open(path);
    for (const text of readFileSync(sharedPath(`${path}.inp`), "utf8").split("\n__ggml_vocab_test__\n")) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
  });

  it("the stories model gives the ids that it was trained with", async () => {
    const { tokenizer, warnings } = await open("models/stories-4m-i2_s.gguf");
    const golden = JSON.parse(readFileSync(sharedPath("models/stories-4m-golden.json"), "utf8")) as {
      tokenizer_cases: { text: string; token_ids: number[] }[];
      prompts: { prompt: string; token_ids: number[]; greedy_ids: number[]; greedy_text: string }[];
    };
    expect(warnings).toEqual([]);
    expect(golden.tokenizer_cases.length).toBeGreaterThan(5);
    for (const { text, token_ids } of golden.tokenizer_cases) {
      expect(tokenizer.encode(text, { addSpecial: true })).toEqual(token_ids);
      expect(tokenizer.decode(token_ids)).toBe(text);
    }
    for (const { prompt, token_ids, greedy_ids, greedy_text } of golden.prompts) {
      expect(tokenizer.encode(prompt, { addSpecial: true })).toEqual(token_ids);
      expect(tokenizer.decode(greedy_ids)).toBe(greedy_text);
    }
  });

  it.each(NAMES)("%s keeps control tokens out of user text", async (name) => {
    const { tokenizer } = await open(`tokenizers/ggml-vocab-${name}.gguf`);
    const guard = "\ufdd0";
    for (let id = 0; id < tokenizer.nVocab; id++) {
      if (!tokenizer.isSpecial(id)) continue;
      const text = `x ${tokenizer.piece(id)} y`;
      const ids = tokenizer.encode(text);
      expect(ids).not.toContain(id);
      expect(tokenizer.encodeTemplate(tokenizer.guardUserText(text, guard), guard)).toEqual(ids);
      expect(tokenizer.encodeTemplate(text, guard)).toContain(id);
    }
  });

  it.each(["llama-bpe", "qwen2", "gpt-2"])("%s is recognised without its pre-tokeniser's name", async (name) => {
    const { metadata } = await readFile(`tokenizers/ggml-vocab-${name}.gguf`);
    const bare = new GgufMetadata(metadata.entries.filter(({ key }) => key !== "tokenizer.ggml.pre"));
    const { spec, warnings } = tokenizerSpec(bare, "llama");
    expect(spec.pre).toBe(name);
    expect(warnings).toEqual([expect.stringContaining(name)]);
  });

  it("llama-bpe is ready within its budget", async () => {
    const { tokenizer, specMs } = await open("tokenizers/ggml-vocab-llama-bpe.gguf");
    const start = performance.now();
    tokenizer.encode("Hello");
    // Budgets are 50 ms and 250 ms on an idle machine; ten times that is a hang.
    expect(specMs).toBeLessThan(500);
    expect(performance.now() - start).toBeLessThan(2500);
  });
});
