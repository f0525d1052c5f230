import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { handMadeBpe, handMadeSpm } from "./hand-made.fixture.ts";
import { TOKEN_TYPE } from "./spec.ts";
import { createTokenizer } from "./tokenizer.ts";

const MERGES = ["Ġ t", "h e", "Ġt he", "Ã ©", "ð Ł", "l l", "Ġ Ġ"];
const tokenizer = createTokenizer(handMadeBpe(MERGES));
const bos = tokenizer.spec.bosId!;
const eos = tokenizer.spec.eosId!;

const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: "grapheme", maxLength: 60 }),
  // Lone surrogates too.
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 }).map((units) => String.fromCharCode(...units)),
);

/** Lone surrogates as U+FFFD. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

describe("tokenizer", () => {
  it("decodes what it encodes", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(wellFormed(text));
      }),
      { numRuns: 1000 },
    );
  });

  it("streams what it decodes, for any ids", () => {
    const spm = createTokenizer(
      handMadeSpm([
        ["▁", -1],
        ["▁a", -2],
        ["é", -3],
      ]),
    );
    for (const one of [tokenizer, spm]) {
      const ids = fc.array(fc.nat(one.nVocab - 1), { maxLength: 40 });
      fc.assert(
        fc.property(ids, fc.boolean(), fc.boolean(), (list, skipSpecial, isContinuation) => {
          const decoder = one.streamDecoder({ skipSpecial, isContinuation });
          const text = list.map((id) => decoder.push(id)).join("") + decoder.end();
          expect(text).toBe(one.decode(list, { skipSpecial, isContinuation }));
          const bytes = list.flatMap((id) => [...one.tokenBytes(id, { special: !skipSpecial })]);
          const whole = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
          expect(text === whole || ` ${text}` === whole).toBe(true);
        }),
        { numRuns: 500 },
      );
    }
  });

  it("holds incomplete characters back and nothing else", () => {
    const decoder = tokenizer.streamDecoder();
    expect([0xf0, 0x9f, 0x98, 0x80].map((byte) => decoder.push(byteId(byte)))).toEqual(["", "", "", "😀"]);
    expect(decoder.push(byteId(0x41))).toBe("A");
    expect(decoder.push(byteId(0xc3))).toBe("");
    expect(decoder.push(byteId(0x41))).toBe("\ufffdA");
    expect(decoder.push(byteId(0xe2))).toBe("");
    expect(decoder.end()).toBe("\ufffd");
    expect(decoder.end()).toBe("");
    expect(decoder.push(byteId(0x41))).toBe("A");
  });

  it("keeps a byte order mark", () => {
    expect(tokenizer.decode(tokenizer.encode("\ufeffa"))).toBe("\ufeffa");
  });

  it("adds BOS and EOS as asked", () => {
    const both = createTokenizer({ ...tokenizer.spec, addBos: true, addEos: true });
    expect(both.encode("a")).toEqual([byteId(0x61)]);
    expect(both.encode("a", { addSpecial: true })).toEqual([bos, byteId(0x61), eos]);
    expect(both.encode("a", { addSpecial: true, bos: false })).toEqual([byteId(0x61), eos]);
    expect(tokenizer.encode("a", { addSpecial: true })).toEqual([byteId(0x61)]);
    expect(tokenizer.encode("a", { bos: true, eos: true })).toEqual([bos, byteId(0x61), eos]);
    const none = createTokenizer({ ...tokenizer.spec, bosId: null, eosId: null, addBos: true });
    expect(none.encode("a", { addSpecial: true })).toEqual([byteId(0x61)]);
    expect(() => none.encode("a", { bos: true })).toThrow(expect.objectContaining({ code: "tokenizer-no-bos" }));
    expect(() => none.encode("a", { eos: true })).toThrow(expect.objectContaining({ code: "tokenizer-no-eos" }));
  });

  it("leaves control tokens out of text unless told otherwise", () => {
    const ids = tokenizer.encode("a<|eot_id|>b", { special: true });
    expect(tokenizer.decode(ids)).toBe("ab");
    expect(tokenizer.decode(ids, { skipSpecial: false })).toBe("a<|eot_id|>b");
    expect(tokenizer.tokenBytes(ids[1]!)).toHaveLength(0);
    expect(tokenizer.piece(ids[1]!)).toBe("<|eot_id|>");
    expect(tokenizer.isSpecial(ids[1]!)).toBe(true);
    expect(tokenizer.isEog(ids[1]!)).toBe(true);
    expect(tokenizer.isEog(ids[0]!)).toBe(false);
  });

  it("gives no bytes for unused and undefined tokens", () => {
    const types = Int32Array.from(tokenizer.spec.types!);
    types[65] = TOKEN_TYPE.unused;
    types[66] = TOKEN_TYPE.undefined;
    const other = createTokenizer({ ...tokenizer.spec, types });
    expect(other.decode([65, 66, 67])).toBe(tokenizer.decode([67]));
  });

  it.each([-1, 1.5, Number.NaN, 2 ** 32, 1e9])("refuses the id %s", (id) => {
    expect(() => tokenizer.decode([id])).toThrow(expect.objectContaining({ code: "token-id-range" }));
    expect(() => tokenizer.tokenBytes(id)).toThrow(expect.objectContaining({ code: "token-id-range" }));
  });

  it("survives structuredClone of its spec", () => {
    const copy = createTokenizer(structuredClone(tokenizer.spec));
    expect(copy.encode(" the café 😀")).toEqual(tokenizer.encode(" the café 😀"));
  });
});

/** Id of a byte in a hand-made vocabulary: they come first, by value. */
function byteId(byte: number): number {
  return byte;
}
