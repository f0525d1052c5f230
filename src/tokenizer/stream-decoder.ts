/**
 * Ids to text, one at a time: a character that is not complete yet is held back, so that joining what comes out equals decoding
 * all at once. Invalid bytes become U+FFFD as the Encoding standard says, and only then.
 */

/** How ids become text. */
export interface DecodeOptions {
  /** Leave out control and unknown tokens. Default true. */
  readonly skipSpecial?: boolean;
  /**
   * The ids go on after text that is already there, so the space in front of the first one stays. Default false: where the
   * tokenizer puts a space before a text, the first id loses it again (llama.cpp's `detokenize`).
   */
  readonly isContinuation?: boolean;
}

export interface StreamDecoder {
  /** Text that `id` completes; often empty inside a character. */
  push(id: number): string;
  /** What was held back: U+FFFD if a character never got complete. Afterwards the decoder is as new. */
  end(): string;
}

/** A decoder over `bytesOf(id, isFirst)`. */
export function createStreamDecoder(bytesOf: (id: number, isFirst: boolean) => Uint8Array): StreamDecoder {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let isFirst = true;
  return {
    push(id) {
      const bytes = bytesOf(id, isFirst);
      isFirst = false;
      return decoder.decode(bytes, { stream: true });
    },
    end() {
      isFirst = true;
      return decoder.decode();
    },
  };
}
