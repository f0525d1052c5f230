import { describe, expect, it } from "vitest";
import { packedString, packStrings } from "../bytes/packed-strings.ts";
import { GgufError } from "../errors.ts";
import { type GgufEntry, GgufMetadata } from "../gguf/metadata.ts";
import { byteAlphabet } from "../tokenizer/hand-made.fixture.ts";
import { TOKEN_TYPE } from "../tokenizer/spec.ts";
import { createTokenizer } from "../tokenizer/tokenizer.ts";
import { tokenizerSpec } from "./tokenizer-spec.ts";

type Value = Pick<GgufEntry, "type" | "elementType" | "value">;

const text = (value: string): Value => ({ type: "string", value });
const u32 = (value: number): Value => ({ type: "u32", value });
const bool = (value: boolean): Value => ({ type: "bool", value });
const strings = (values: readonly string[]): Value => ({ type: "array", elementType: "string", value: packStrings(values) });
const i32s = (values: readonly number[]): Value => ({ type: "array", elementType: "i32", value: Int32Array.from(values) });
const f32s = (values: readonly number[]): Value => ({ type: "array", elementType: "f32", value: Float32Array.from(values) });

/** Metadata with keys without their `tokenizer.ggml.`; entry k lies at byte 1000 + k. `null` removes a key. */
function metadataOf(...layers: readonly Readonly<Record<string, Value | null>>[]): GgufMetadata {
  const entries: GgufEntry[] = [];
  for (const [name, value] of Object.entries(Object.assign({}, ...layers) as Record<string, Value | null>)) {
    const key = name.startsWith("general.") ? name : `tokenizer.ggml.${name}`;
    if (value !== null) entries.push({ key, byteOffset: 1000 + entries.length, ...value });
  }
  return new GgufMetadata(entries);
}

const BPE: Readonly<Record<string, Value>> = {
  model: text("gpt2"),
  pre: text("gpt-2"),
  tokens: strings([...byteAlphabet(), "ab", "<|eot_id|>"]),
  token_type: i32s([...Array(257).fill(TOKEN_TYPE.normal), TOKEN_TYPE.control]),
  merges: strings(["a b"]),
};
const SPM_TOKENS = [
  "<unk>",
  "<s>",
  "</s>",
  ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  "▁a",
];
const SPM: Readonly<Record<string, Value>> = {
  model: text("llama"),
  tokens: strings(SPM_TOKENS),
  scores: f32s(SPM_TOKENS.map((_, id) => -id)),
  token_type: i32s(SPM_TOKENS.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1))),
};
const WORDPIECE: Readonly<Record<string, Value>> = {
  model: text("bert"),
  tokens: strings(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁a"]),
  token_type: i32s([3, 3, 3, 3, 1]),
  unknown_token_id: u32(1),
  cls_token_id: u32(2),
  seperator_token_id: u32(3),
};

function read(...layers: readonly Readonly<Record<string, Value | null>>[]): ReturnType<typeof tokenizerSpec> {
  return tokenizerSpec(metadataOf(...layers), "llama");
}

/** What `action` throws. */
function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("tokenizer keys", () => {
  it("make a byte-level BPE", () => {
    const { spec, warnings } = read(BPE, { bos_token_id: u32(257), eos_token_id: u32(256), add_bos_token: bool(true) });
    expect(warnings).toEqual([]);
    expect(spec).toMatchObject({ model: "bpe", pre: "gpt-2", bosId: 257, eosId: 256, unkId: null, addBos: true, addEos: false });
    expect(spec.eogIds).toEqual([256, 257]);
    expect(createTokenizer(spec).encode("ab", { addSpecial: true })).toEqual([257, 256]);
  });

  it("make a SentencePiece vocabulary with llama.cpp's defaults", () => {
    const { spec, warnings } = read(SPM);
    expect(warnings).toEqual([]);
    expect(spec).toMatchObject({
      model: "spm",
      pre: null,
      bosId: 1,
      eosId: 2,
      unkId: 0,
      addBos: true,
      addEos: false,
      addSpacePrefix: true,
    });
    expect(spec.eogIds).toEqual([2]);
    expect(read(SPM, { add_space_prefix: bool(false) }).spec.addSpacePrefix).toBe(false);
  });

  it("make a WordPiece vocabulary that always has [CLS] and [SEP]", () => {
    const { spec, warnings } = read(WORDPIECE, { add_bos_token: bool(false) });
    expect(warnings).toEqual([]);
    expect(createTokenizer(spec).encode("a", { addSpecial: true })).toEqual([2, 4, 3]);
    expect(read(WORDPIECE, { "normalizer.lowercase": bool(false) }).spec).toMatchObject({
      lowercase: false,
      stripAccents: false,
    });
  });

  it("name the supported models when theirs is another", () => {
    const error = thrownBy(() => read(BPE, { model: text("t5") }));
    expect(error).toMatchObject({ code: "tokenizer-model", data: { found: "t5", supported: ["gpt2", "llama", "bert", "rwkv"] } });
  });
});

describe("the pre-tokeniser", () => {
  const none = { pre: null };

  it("is what the file or the option says", () => {
    expect(read(BPE, { pre: text("qwen2") }).spec.pre).toBe("qwen2");
    expect(read(BPE, { pre: text("default") }).spec.pre).toBe("default");
    expect(tokenizerSpec(metadataOf(BPE, none), "llama", { pre: "llama-bpe" }).spec).toMatchObject({
      pre: "llama-bpe",
      addBos: false,
    });
    expect(tokenizerSpec(metadataOf(BPE), "llama", { pre: "qwen2" }).spec.pre).toBe("qwen2");
  });

  it("is never guessed", () => {
    expect(thrownBy(() => read(BPE, { pre: text("nobody") }))).toMatchObject({
      code: "tokenizer-pre",
      data: { found: "nobody" },
    });
    const error = thrownBy(() => read(BPE, none));
    expect(error).toMatchObject({ code: "tokenizer-pre", hint: expect.stringContaining("`pre`") });
    expect(thrownBy(() => read(BPE, { pre: text("") }))).toMatchObject({ code: "tokenizer-pre" });
    expect(thrownBy(() => tokenizerSpec(metadataOf(BPE), "llama", { pre: "nobody" }))).toMatchObject({ code: "tokenizer-pre" });
  });

  it.each(["bitnet", "bitnet-25", "bitnet-b1.58"])(
    "of a %s file with Llama 3's vocabulary is llama-bpe, with a warning",
    (architecture) => {
      const tokens = Array.from({ length: 128_256 }, (_, id) => `t${id}`);
      const metadata = metadataOf(BPE, none, { tokens: strings(tokens), token_type: null, bos_token_id: u32(128_000) });
      const { spec, warnings } = tokenizerSpec(metadata, architecture);
      expect(spec.pre).toBe("llama-bpe");
      expect(warnings).toEqual([expect.stringContaining("llama-bpe")]);
      expect(thrownBy(() => tokenizerSpec(metadata, "llama"))).toMatchObject({ code: "tokenizer-pre" });
    },
  );

  it("adds BOS by default where llama.cpp does", () => {
    const withBos = { bos_token_id: u32(257) };
    expect(read(BPE, withBos).spec.addBos).toBe(false);
    expect(read(BPE, withBos, { pre: text("llama-bpe") }).spec.addBos).toBe(true);
    expect(read(BPE, withBos, { pre: text("llama-bpe"), add_bos_token: bool(false) }).spec.addBos).toBe(false);
  });
});

describe("damaged vocabularies", () => {
  const cases: readonly (readonly [
    string,
    Readonly<Record<string, Value>>,
    Readonly<Record<string, Value | null>>,
    string,
    string,
  ])[] = [
    ["no model", BPE, { model: null }, "tokenizer-missing", ""],
    ["no tokens", BPE, { tokens: null }, "tokenizer-missing", ""],
    ["an empty list of tokens", BPE, { tokens: strings([]) }, "tokenizer-missing", "tokens"],
    ["tokens that are no strings", BPE, { tokens: i32s([1]) }, "gguf-key-type", "tokens"],
    ["no merges", BPE, { merges: null }, "tokenizer-missing", ""],
    ["merges that are no strings", BPE, { merges: u32(1) }, "gguf-key-type", "merges"],
    ["too few types", BPE, { token_type: i32s([1]) }, "tokenizer-types", "token_type"],
    ["types that are floats", BPE, { token_type: f32s(Array(258).fill(1)) }, "tokenizer-types", "token_type"],
    ["types that are no list", BPE, { token_type: u32(1) }, "tokenizer-types", "token_type"],
    ["too few scores", SPM, { scores: f32s([1]) }, "tokenizer-scores", "scores"],
    [
      "scores of one byte",
      SPM,
      { scores: { type: "array", elementType: "u8", value: new Uint8Array(300) } },
      "tokenizer-scores",
      "scores",
    ],
    ["scores that are NaN", SPM, { scores: f32s(SPM_TOKENS.map(() => Number.NaN)) }, "tokenizer-scores", "scores"],
    ["an id that is text", BPE, { bos_token_id: text("1") }, "gguf-key-type", "bos_token_id"],
    ["an id that is a fraction", BPE, { eos_token_id: { type: "f32", value: 1.5 } }, "tokenizer-id", "eos_token_id"],
    ["a flag that is a number", BPE, { add_bos_token: u32(1) }, "gguf-key-type", "add_bos_token"],
  ];

  it.each(cases)("%s: an error at the key", (_, base, change, code, key) => {
    const metadata = metadataOf(base, change);
    const error = thrownBy(() => tokenizerSpec(metadata, "llama"));
    expect(error).toBeInstanceOf(GgufError);
    expect(error).toMatchObject({ code, byteOffset: key === "" ? 0 : metadata.entry(`tokenizer.ggml.${key}`)!.byteOffset });
  });

  it.each([
    ["ids outside the vocabulary", BPE, { eos_token_id: u32(258), bos_token_id: u32(1e6) }, /eos_token_id' is 258/],
    [
      "an id of 2^32 - 1",
      SPM,
      { bos_token_id: u32(2 ** 32 - 1), add_bos_token: bool(true) },
      /bos_token_id' is 4294967295, which means none/,
    ],
    ["BOS wanted without one", BPE, { add_bos_token: bool(true) }, /should have a BOS token/],
    ["merges without a space", BPE, { merges: strings(["ab", "", " ", "a b", "a "]) }, /4 merges are not two texts/],
    ["empty tokens", BPE, { tokens: strings([...byteAlphabet(), "", ""]) }, /2 tokens are empty/],
    ["a token of a megabyte", BPE, { tokens: strings([...byteAlphabet(), "ab", "x".repeat(2 ** 20)]) }, /1 tokens are longer/],
    ["equal tokens", BPE, { tokens: strings([...byteAlphabet(), "ab", "ab"]) }, /token 257 \('ab'\) has the text of a lower id/],
    ["types that ggml does not know", BPE, { token_type: i32s(Array(258).fill(77)) }, /258 tokens have a type outside/],
    ["more types than tokens", BPE, { token_type: i32s(Array(300).fill(1)) }, /300 elements for 258 tokens/],
    [
      "byte tokens that are none",
      SPM,
      { tokens: strings(SPM_TOKENS.map((token) => token.replace("<0x41>", "<0x-1>").replace("<0x42>", "<0xZZ>"))) },
      /2 byte tokens are not spelled/,
    ],
    ["no scores", SPM, { scores: null }, /scores' is missing/],
  ] as const)("%s: a warning, and a tokenizer that works", (_, base, change, warning) => {
    const { spec, warnings } = read(base, change);
    expect(warnings.join("\n")).toMatch(warning);
    const tokenizer = createTokenizer(spec);
    expect(tokenizer.encode("ab <|eot_id|> AB é", { addSpecial: true, special: true }).length).toBeGreaterThan(3);
  });

  it("use ids that are none as none", () => {
    expect(read(SPM, { bos_token_id: u32(2 ** 32 - 1) }).spec).toMatchObject({ bosId: null, addBos: false });
    expect(read(SPM, { bos_token_id: { type: "i32", value: -1 } }).spec.bosId).toBeNull();
    expect(read(SPM, { bos_token_id: u32(5000) }).spec.bosId).toBe(1);
    expect(read(BPE, { eos_token_id: u32(258) }).spec.eosId).toBeNull();
  });

  it("accept merges that cannot apply, and token texts that are not UTF-8", () => {
    const bytes = packStrings([...byteAlphabet(), "ab", "?"]);
    bytes.bytes[bytes.bytes.length - 1] = 0xff;
    const { spec } = read(BPE, {
      tokens: { type: "array", elementType: "string", value: bytes },
      merges: strings(["a b", "ab ab", "x no", "a b", "é é", "a a a"]),
    });
    const tokenizer = createTokenizer(spec);
    expect(tokenizer.decode(tokenizer.encode("abab xno a a a é"))).toBe("abab xno a a a é");
    expect(tokenizer.tokenBytes(257, { special: true })).toEqual(Uint8Array.of(0xff));
  });
});

describe("special tokens by their texts", () => {
  /** A vocabulary of 256 bytes and `texts`, all with `type`; gives the spec and id 256 + k of text k. */
  function withTexts(
    texts: readonly string[],
    type: number,
    more: Readonly<Record<string, Value>> = {},
  ): ReturnType<typeof read>["spec"] {
    const token_type = i32s([...Array(256).fill(TOKEN_TYPE.normal), ...texts.map(() => type)]);
    return read(BPE, { tokens: strings([...byteAlphabet(), ...texts]), token_type, merges: strings([]) }, more).spec;
  }

  const eogTexts = (spec: ReturnType<typeof read>["spec"]): string[] => spec.eogIds.map((id) => packedString(spec.tokens, id));

  it("end generation", () => {
    const texts = ["<|eot_id|>", "<|im_end|>", "<end_of_turn>", "</s>", "<|user|>", "<|fim_pad|>", "[PAD]"];
    expect(eogTexts(withTexts(texts, TOKEN_TYPE.control))).toEqual(texts.filter((token) => token !== "<|user|>"));
  });

  it("are control tokens even if the file calls them normal, unless they may be ordinary text", () => {
    const spec = withTexts(["<|eot_id|>", "</s>", "<|fim_prefix|>"], TOKEN_TYPE.normal);
    expect(eogTexts(spec)).toEqual(["<|eot_id|>"]);
    expect([...spec.types!.subarray(256)]).toEqual([TOKEN_TYPE.control, TOKEN_TYPE.normal, TOKEN_TYPE.control]);
  });

  it("end only messages in vocabularies of the harmony kind", () => {
    const spec = withTexts(["<|end|>", "<|return|>", "<|call|>", "<|channel|>"], TOKEN_TYPE.control);
    expect(eogTexts(spec)).toEqual(["<|return|>", "<|call|>"]);
    expect([...spec.types!.subarray(256)]).toEqual([4, 3, 3, 4]);
    expect(eogTexts(withTexts(["<|end|>", "<|return|>"], TOKEN_TYPE.control))).toEqual(["<|end|>", "<|return|>"]);
  });

  it("swallow white space in Phi-3", () => {
    const texts = ["<s>", "<|user|>", "</s>", "<|endoftext|>"];
    const spec = withTexts(texts, TOKEN_TYPE.control, { "general.name": text("Phi-3 mini") });
    expect(spec.rstripIds).toEqual([257, 258]);
    expect(createTokenizer(spec).encode("<|user|> \na", { special: true })).toEqual([257, 97]);
    expect(withTexts(texts, TOKEN_TYPE.control).rstripIds).toEqual([]);
  });

  it("come from keys too", () => {
    const spec = withTexts(["<x>", "<y>"], TOKEN_TYPE.control, { eot_token_id: u32(257), eos_token_id: u32(256) });
    expect(spec.eogIds).toEqual([256, 257]);
  });
});
