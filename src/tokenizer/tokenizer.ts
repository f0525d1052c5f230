/**
 * Text to ids and back, for every kind of vocabulary. Tables are built when they are first needed: making a tokenizer is free.
 */
import { type PackedStrings, packedCount } from "../bytes/packed-strings.ts";
import { ConfigError } from "../errors.ts";
import { Bpe, type TextEncoderModel } from "./bpe.ts";
import { Rwkv } from "./rwkv.ts";
import { TOKEN_TYPE, type TokenizerSpec } from "./spec.ts";
import { type Fragment, SpecialTokens } from "./special-tokens.ts";
import { Spm } from "./spm.ts";
import { createStreamDecoder, type DecodeOptions, type StreamDecoder } from "./stream-decoder.ts";
import { byteTokenIds, rawTokenBytes, typeOf } from "./token-bytes.ts";
import { WordPiece } from "./wordpiece.ts";

export type { DecodeOptions, StreamDecoder } from "./stream-decoder.ts";

/** What is put around the ids of a text, and how the text is read. */
export interface EncodeOptions {
  /** Puts the BOS (WordPiece: [CLS]) first; false: never. Default: as `addSpecial` says. */
  readonly bos?: boolean;
  /** Puts the EOS (WordPiece: [SEP]) last; false: never. Default: as `addSpecial` says. */
  readonly eos?: boolean;
  /** Adds what the vocabulary says belongs around a text. Default false. */
  readonly addSpecial?: boolean;
  /** Parses control tokens that are spelled in the text. Default false; user-defined tokens are always parsed. */
  readonly special?: boolean;
}

export interface Tokenizer {
  readonly nVocab: number;
  readonly spec: TokenizerSpec;
  /**
   * Ids of `text`; lone surrogates count as U+FFFD.
   * @throws ConfigError `tokenizer-no-bos`, `tokenizer-no-eos` where one is demanded that the vocabulary does not have.
   */
  encode(text: string, options?: EncodeOptions): number[];
  /** Ids of a rendered template: special tokens are parsed but where `guard` lies inside them; `guard` itself vanishes. */
  encodeTemplate(text: string, guard: string): number[];
  /**
   * `text` of a user with `guard` put where `encodeTemplate` would otherwise parse a control token: inside each one that is
   * spelled there, and at an edge where text of the template could complete one. For contents, not for role names: templates
   * build tokens like `<|user|>` of those.
   */
  guardUserText(text: string, guard: string): string;
  /**
   * A noncharacter that occurs in none of `texts`.
   * @throws ConfigError `tokenizer-no-guard` where they use up all 66.
   */
  pickGuard(texts: readonly string[]): string;
  /**
   * Text of `ids`. Control tokens are left out unless `skipSpecial` is false.
   * @throws ConfigError `token-id-range`.
   */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /**
   * The bytes that `id` stands for, often no valid UTF-8 by themselves; none for control tokens unless `special`. Do not write.
   * @throws ConfigError `token-id-range`.
   */
  tokenBytes(id: number, options?: { readonly special?: boolean }): Uint8Array;
  /** `id` for display: its text, control tokens included; bytes that are no character as U+FFFD. */
  piece(id: number): string;
  /** Decodes id by id; the joined output equals `decode` of all ids with the same options. */
  streamDecoder(options?: DecodeOptions): StreamDecoder;
  /** Control and unknown tokens: parsed on demand, left out of decoded text. */
  isSpecial(id: number): boolean;
  /** Generation ends here. */
  isEog(id: number): boolean;
}

/** The tokenizer that `spec` describes. */
export function createTokenizer(spec: TokenizerSpec): Tokenizer {
  return new SpecTokenizer(spec);
}

const NO_BYTES = new Uint8Array(0);

class SpecTokenizer implements Tokenizer {
  readonly nVocab: number;
  readonly spec: TokenizerSpec;
  readonly #eog: ReadonlySet<number>;
  #raw: PackedStrings | undefined;
  #specials: SpecialTokens | undefined;
  #model: TextEncoderModel | undefined;

  constructor(spec: TokenizerSpec) {
    this.spec = spec;
    this.nVocab = packedCount(spec.tokens);
    this.#eog = new Set(spec.eogIds);
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    const ids: number[] = [];
    const { spec } = this;
    const addSpecial = options.addSpecial ?? false;
    if (options.bos ?? (addSpecial && spec.addBos && firstId(spec) !== null)) ids.push(demand(firstId(spec), "bos"));
    this.#encodeFragments(this.#specialTokens().partition(text, options.special ?? false), ids);
    if (options.eos ?? (addSpecial && spec.addEos && lastId(spec) !== null)) ids.push(demand(lastId(spec), "eos"));
    return ids;
  }

  encodeTemplate(text: string, guard: string): number[] {
    const parts = text.split(guard);
    const guards: number[] = [];
    let at = 0;
    for (const part of parts.slice(0, -1)) {
      at += part.length;
      guards.push(at);
    }
    const ids: number[] = [];
    this.#encodeFragments(this.#specialTokens().partition(parts.join(""), true, guards), ids);
    return ids;
  }

  guardUserText(text: string, guard: string): string {
    return this.#specialTokens().guard(text, guard);
  }

  pickGuard(texts: readonly string[]): string {
    for (const guard of noncharacters()) if (!texts.some((text) => text.includes(guard))) return guard;
    throw new ConfigError(
      "tokenizer-no-guard",
      "tokenizer: the texts contain every Unicode noncharacter; at least one must be free",
      {
        hint: "Remove the noncharacters (U+FDD0..U+FDEF, U+FFFE, U+FFFF and so on) from the messages.",
      },
    );
  }

  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const bytesOf = this.#decodedBytes(options);
    let bytes = new Uint8Array(Math.max(64, ids.length * 8));
    let length = 0;
    for (let i = 0; i < ids.length; i++) {
      const piece = bytesOf(ids[i]!, i === 0);
      if (length + piece.length > bytes.length) {
        const larger = new Uint8Array((length + piece.length) * 2);
        larger.set(bytes);
        bytes = larger;
      }
      bytes.set(piece, length);
      length += piece.length;
    }
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, length));
  }

  tokenBytes(id: number, options: { readonly special?: boolean } = {}): Uint8Array {
    if (!Number.isInteger(id) || id < 0 || id >= this.nVocab) {
      throw new ConfigError(
        "token-id-range",
        `tokenizer: token id ${id} is not in the vocabulary; must be 0..${this.nVocab - 1}`,
        {
          data: { id, nVocab: this.nVocab },
        },
      );
    }
    const type = typeOf(this.spec, id);
    if (type === TOKEN_TYPE.unused || type === TOKEN_TYPE.undefined) return NO_BYTES;
    if (!(options.special ?? false) && this.isSpecial(id)) return NO_BYTES;
    const { bytes, offsets } = this.#rawTokens();
    return bytes.subarray(offsets[id]!, offsets[id + 1]!);
  }

  piece(id: number): string {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.tokenBytes(id, { special: true }));
  }

  streamDecoder(options: DecodeOptions = {}): StreamDecoder {
    return createStreamDecoder(this.#decodedBytes(options));
  }

  isSpecial(id: number): boolean {
    const type = typeOf(this.spec, id);
    return type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown;
  }

  isEog(id: number): boolean {
    return this.#eog.has(id);
  }

  #encodeFragments(fragments: readonly Fragment[], ids: number[]): void {
    for (const fragment of fragments) {
      if (typeof fragment === "number") ids.push(fragment);
      else this.#textModel().encode(fragment, ids);
    }
  }

  /** The bytes that an id adds to a text. */
  #decodedBytes(options: DecodeOptions): (id: number, isFirst: boolean) => Uint8Array {
    const special = !(options.skipSpecial ?? true);
    // WordPiece marks every word's beginning, the first one's too.
    const stripsSpace = !(options.isContinuation ?? false) && (this.spec.addSpacePrefix || this.spec.model === "wordpiece");
    return (id, isFirst) => {
      const bytes = this.tokenBytes(id, { special });
      return isFirst && stripsSpace && bytes[0] === 0x20 ? bytes.subarray(1) : bytes;
    };
  }

  #rawTokens(): PackedStrings {
    this.#raw ??= rawTokenBytes(this.spec);
    return this.#raw;
  }

  #specialTokens(): SpecialTokens {
    this.#specials ??= new SpecialTokens(this.spec);
    return this.#specials;
  }

  #textModel(): TextEncoderModel {
    this.#model ??= this.#buildModel();
    return this.#model;
  }

  #buildModel(): TextEncoderModel {
    const { spec } = this;
    const isEncodable = (id: number): boolean => !this.isSpecial(id) && typeOf(spec, id) !== TOKEN_TYPE.byte;
    switch (spec.model) {
      case "bpe":
        return new Bpe(spec, this.#rawTokens(), isEncodable);
      case "spm":
        return new Spm(spec, byteTokenIds(spec), isEncodable);
      case "wordpiece":
        return new WordPiece(spec, isEncodable);
      case "rwkv":
        return new Rwkv(spec, this.#rawTokens(), isEncodable);
    }
  }
}

/** What stands before a text: [CLS] in a WordPiece vocabulary that has no BOS of its own. */
function firstId(spec: TokenizerSpec): number | null {
  return spec.model === "wordpiece" ? (spec.bosId ?? spec.clsId) : spec.bosId;
}

/** What stands behind a text: [SEP] in a WordPiece vocabulary. */
function lastId(spec: TokenizerSpec): number | null {
  return spec.model === "wordpiece" ? (spec.sepId ?? spec.eosId) : spec.eosId;
}

function demand(id: number | null, what: "bos" | "eos"): number {
  if (id !== null) return id;
  throw new ConfigError(
    `tokenizer-no-${what}`,
    `tokenizer: a ${what.toUpperCase()} token was asked for; the vocabulary has none`,
  );
}

/** U+FDD0..U+FDEF, then the last two code points of each plane. */
function* noncharacters(): Generator<string> {
  for (let point = 0xfdd0; point <= 0xfdef; point++) yield String.fromCodePoint(point);
  for (let plane = 0; plane <= 16; plane++) {
    yield String.fromCodePoint(plane * 0x10000 + 0xfffe);
    yield String.fromCodePoint(plane * 0x10000 + 0xffff);
  }
}
