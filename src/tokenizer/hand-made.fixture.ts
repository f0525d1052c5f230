/** Small vocabularies for tests, made by hand. */
import { packStrings } from "../bytes/packed-strings.ts";
import { TOKEN_TYPE, type TokenizerSpec } from "./spec.ts";

const NOTHING = {
  pre: null,
  scores: null,
  types: null,
  merges: null,
  bosId: null,
  eosId: null,
  unkId: null,
  sepId: null,
  padId: null,
  clsId: null,
  maskId: null,
  eogIds: [],
  addBos: false,
  addEos: false,
  addSpacePrefix: false,
  removeExtraWhitespaces: false,
  lstripIds: [],
  rstripIds: [],
  lowercase: true,
  stripAccents: true,
} as const;

/** The 256 characters of GPT-2's alphabet, by byte. */
export function byteAlphabet(): string[] {
  const isPrintable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let extra = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : extra++));
}

/** Control tokens of `handMadeBpe`, from id 256 + merges on. */
export const BPE_SPECIALS = ["<|begin|>", "<|end_of_text|>", "<|eot_id|>", "<|eot_id|>x", "é|", "<user>"] as const;

/** A byte-level BPE: 256 bytes, one token a merge, then BPE_SPECIALS (the last one user-defined). */
export function handMadeBpe(merges: readonly string[], changes: Partial<TokenizerSpec> = {}): TokenizerSpec {
  const texts = [...byteAlphabet(), ...merges.map((merge) => merge.replace(" ", "")), ...BPE_SPECIALS];
  const first = 256 + merges.length;
  const types = Int32Array.from(texts, (_, id) => (id < first ? TOKEN_TYPE.normal : TOKEN_TYPE.control));
  types[texts.length - 1] = TOKEN_TYPE.userDefined;
  return {
    ...NOTHING,
    model: "bpe",
    pre: "gpt-2",
    tokens: packStrings(texts),
    types,
    merges: packStrings(merges),
    bosId: first,
    eosId: first + 1,
    eogIds: [first + 1, first + 2],
    ...changes,
  };
}

/** A SentencePiece vocabulary: <unk>, <s>, </s>, 256 byte tokens, then `pieces` with their scores. */
export function handMadeSpm(pieces: readonly (readonly [string, number])[], changes: Partial<TokenizerSpec> = {}): TokenizerSpec {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const texts = ["<unk>", "<s>", "</s>", ...bytes, ...pieces.map(([text]) => text)];
  const { unknown, control, byte, normal } = TOKEN_TYPE;
  return {
    ...NOTHING,
    model: "spm",
    tokens: packStrings(texts),
    types: Int32Array.from(texts, (_, id) => (id === 0 ? unknown : id < 3 ? control : id < 259 ? byte : normal)),
    scores: Float32Array.from(texts, (_, id) => (id < 259 ? 0 : pieces[id - 259]![1])),
    bosId: 1,
    eosId: 2,
    unkId: 0,
    eogIds: [2],
    addBos: true,
    addSpacePrefix: true,
    ...changes,
  };
}

/** A WordPiece vocabulary: [PAD], [UNK], [CLS], [SEP], [MASK], then `pieces`. */
export function handMadeWordPiece(pieces: readonly string[], changes: Partial<TokenizerSpec> = {}): TokenizerSpec {
  const texts = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...pieces];
  return {
    ...NOTHING,
    model: "wordpiece",
    tokens: packStrings(texts),
    types: Int32Array.from(texts, (_, id) => (id < 5 ? TOKEN_TYPE.control : TOKEN_TYPE.normal)),
    unkId: 1,
    clsId: 2,
    sepId: 3,
    padId: 0,
    maskId: 4,
    addBos: true,
    addEos: true,
    ...changes,
  };
}

/** The table BPE-by-hand is checked against: merges one best pair at a time, by looking at all of them. */
export function naiveBpe(word: readonly string[], merges: readonly string[]): string[] {
  const parts = [...word];
  for (;;) {
    let best = merges.length;
    let at = -1;
    for (let i = 0; i + 1 < parts.length; i++) {
      const rank = merges.indexOf(`${parts[i]} ${parts[i + 1]}`);
      if (rank >= 0 && rank < best) {
        best = rank;
        at = i;
      }
    }
    if (at < 0) return parts;
    parts.splice(at, 2, parts[at]! + parts[at + 1]!);
  }
}
