/**
 * What llama.cpp knows about special tokens by their texts, because files do not say it: which are control tokens whatever their
 * type, which end generation, which swallow white space. Source: src/llama-vocab.cpp, `llama_vocab::impl::load` ("special tokens"
 * to "Handle per token attributes"), github.com/ggml-org/llama.cpp @00ad355e009e83abf98f96a6ded7193b95763681.
 */
import { TOKEN_TYPE, type TokenizerSpec } from "../tokenizer/spec.ts";
import type { TokenTable } from "../tokenizer/token-table.ts";

/** End generation wherever they exist. */
const EOG_TEXTS: readonly string[] = [
  "<|eot_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|return|>",
  "<|call|>",
  "<|flush|>",
  "<|calls|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "</s>",
  "<|eom_id|>",
  "<EOT>",
  "_<EOT>",
  "[EOT]",
  "[EOS]",
  "<|end_of_text|>",
  "<end_of_utterance>",
  "<eos>",
  "<turn|>",
  "<|tool_response>",
  "<｜end▁of▁sentence｜>",
  "[e~[",
  // Fill-in-the-middle: padding, repository and file separators.
  "<|fim_pad|>",
  "<fim-pad>",
  "<fim_pad>",
  "<PAD>",
  "[PAD]",
  "<|fim_repo|>",
  "<|repo_name|>",
  "<fim-repo>",
  "<REPO>",
  "<reponame>",
  "<|file_sep|>",
];

/** Control tokens whatever the file says, that end nothing. */
const CONTROL_TEXTS: readonly string[] = [
  "<|fim_prefix|>",
  "<fim-prefix>",
  "<fim_prefix>",
  "<｜fim▁begin｜>",
  "<PRE>",
  "▁<PRE>",
  "<|code_prefix|>",
  "<|prefix|>",
  "<|fim_suffix|>",
  "<fim-suffix>",
  "<fim_suffix>",
  "<｜fim▁hole｜>",
  "<SUF>",
  "▁<SUF>",
  "<|code_suffix|>",
  "<|suffix|>",
  "<|fim_middle|>",
  "<fim-middle>",
  "<fim_middle>",
  "<｜fim▁end｜>",
  "<MID>",
  "▁<MID>",
  "<|code_middle|>",
  "<|middle|>",
];

/** gpt-oss: always parsed and always shown. */
const USER_DEFINED_TEXTS: readonly string[] = ["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

const encoder = new TextEncoder();

function find(table: TokenTable, text: string): number {
  const bytes = encoder.encode(text);
  return table.find(bytes, 0, bytes.length);
}

/** Texts of these forms are never ordinary text. The others ("</s>", "[PAD]", "<PRE>") are, where the file calls them normal. */
const UNMISTAKABLE = /^<[|｜]|^<(end_of_turn|end_of_utterance|eos|turn\|)>$/;

/**
 * Changes `types` where a text decides. Other than llama.cpp it lets ordinary text be: in Qwen2's vocabulary "</s>" is a normal
 * token, made by merges, that HTML contains.
 */
export function overrideTypes(types: Int32Array, table: TokenTable): void {
  for (const text of [...EOG_TEXTS, ...CONTROL_TEXTS]) {
    const id = find(table, text);
    // An unknown token that looks so stays one: it is parsed and hidden like a control token.
    if (id < 0 || types[id] === TOKEN_TYPE.unknown) continue;
    if (types[id] !== TOKEN_TYPE.normal || UNMISTAKABLE.test(text)) types[id] = TOKEN_TYPE.control;
  }
  for (const text of USER_DEFINED_TEXTS) {
    const id = find(table, text);
    if (id >= 0) types[id] = TOKEN_TYPE.userDefined;
  }
  const end = find(table, "<|end|>");
  if (end >= 0 && endsOnlyMessages(table)) types[end] = TOKEN_TYPE.userDefined;
  const s = find(table, "</s>");
  if (s >= 0 && find(table, "<|tool_response>") >= 0) types[s] = TOKEN_TYPE.normal;
}

/** In o200k_harmony and Solar vocabularies <|end|> ends a message, not the turn. */
function endsOnlyMessages(table: TokenTable): boolean {
  const has = (text: string): boolean => find(table, text) >= 0;
  return (has("<|call|>") || has("<|calls|>")) && (has("<|return|>") || has("<|flush|>"));
}

/** Ids that end generation, ascending: those of the keys and those by text. */
export function eogIds(types: Int32Array, table: TokenTable, keyed: readonly (number | null)[]): number[] {
  const ids = new Set<number>();
  for (const text of EOG_TEXTS) {
    const id = find(table, text);
    // overrideTypes made the two exceptions something else than a control token.
    if (id >= 0 && (types[id] === TOKEN_TYPE.control || types[id] === TOKEN_TYPE.unknown)) ids.add(id);
  }
  for (const id of keyed) if (id !== null) ids.add(id);
  return [...ids].sort((a, b) => a - b);
}

/** Which special tokens swallow the white space around them. */
export function stripRules(
  types: Int32Array,
  table: TokenTable,
  model: { readonly architecture: string; readonly name: string; readonly pre: string },
): Pick<TokenizerSpec, "lstripIds" | "rstripIds"> {
  const none = { lstripIds: [], rstripIds: [] };
  const name = model.name.toLowerCase();
  const only = (text: string): number[] => [find(table, text)].filter((id) => id >= 0);
  if (/jina-v2-(de|es|code)/.test(model.pre) || /nomic-bert-moe|jina-bert-v3/.test(model.architecture)) {
    return { ...none, lstripIds: only("<mask>") };
  }
  if (/phi-?3/.test(name)) {
    const keep = new Set(["<unk>", "<s>", "<|endoftext|>"].flatMap(only));
    const rstripIds: number[] = [];
    for (let id = 0; id < types.length; id++) {
      const type = types[id];
      const isParsed = type === TOKEN_TYPE.control || type === TOKEN_TYPE.userDefined || type === TOKEN_TYPE.unknown;
      if (isParsed && !keep.has(id)) rstripIds.push(id);
    }
    return { ...none, rstripIds };
  }
  if (name.includes("modern-bert")) return { ...none, lstripIds: only("[MASK]") };
  return none;
}
