/** A plausible byte-level BPE vocabulary of any size: 256 bytes, a few merges, filler words, special tokens where Llama 3 has them. */
import { packStrings } from "../bytes/packed-strings.ts";
import type { GgufWriteEntry } from "../gguf/writer.ts";

const NORMAL = 1;
const CONTROL = 3;

/** Merges in GPT-2's alphabet, where Ġ is a space; each makes the token behind the 256 bytes in the same order. */
const MERGES = ["Ġ t", "h e", "Ġ a", "i n", "r e", "Ġt he", "o n", "e r"];

/** Special tokens from the first id on; Llama 3 has `<|eot_id|>` ninth. */
const SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>"];
const EOT_OFFSET = 9;
const LLAMA3_SPECIALS = 256;

/** The 256 characters of GPT-2's alphabet, by byte. */
function alphabet(): string[] {
  const isPrintable = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let extra = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : extra++));
}

/** `tokenizer.ggml.*` for `nVocab` tokens; nothing where a vocabulary is too small for 256 bytes and its special tokens. */
export function byteLevelVocabulary(nVocab: number): GgufWriteEntry[] {
  const nSpecials = nVocab >= 100_000 ? LLAMA3_SPECIALS : EOT_OFFSET + 1;
  const first = nVocab - nSpecials;
  if (first < 256 + MERGES.length) return [];
  const texts = [...alphabet(), ...MERGES.map((merge) => merge.replace(" ", ""))];
  while (texts.length < first) texts.push(`Ġw${texts.length}`);
  for (let i = 0; i < nSpecials; i++) {
    texts.push(SPECIALS[i] ?? (i === EOT_OFFSET ? "<|eot_id|>" : `<|reserved_special_token_${i}|>`));
  }
  return [
    { key: "tokenizer.ggml.model", type: "string", value: "gpt2" },
    { key: "tokenizer.ggml.pre", type: "string", value: "llama-bpe" },
    { key: "tokenizer.ggml.tokens", type: "array", elementType: "string", value: packStrings(texts) },
    {
      key: "tokenizer.ggml.token_type",
      type: "array",
      elementType: "i32",
      value: Int32Array.from(texts, (_, id) => (id < first ? NORMAL : CONTROL)),
    },
    { key: "tokenizer.ggml.merges", type: "array", elementType: "string", value: packStrings(MERGES) },
    { key: "tokenizer.ggml.bos_token_id", type: "u32", value: first },
    { key: "tokenizer.ggml.eos_token_id", type: "u32", value: first + 1 },
    { key: "tokenizer.ggml.add_bos_token", type: "bool", value: true },
  ];
}
