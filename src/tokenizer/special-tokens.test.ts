import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { packStrings } from "../bytes/packed-strings.ts";
import { BPE_SPECIALS, handMadeBpe } from "./hand-made.fixture.ts";
import { TOKEN_TYPE, type TokenizerSpec } from "./spec.ts";
import { type Fragment, SpecialTokens } from "./special-tokens.ts";
import { createTokenizer } from "./tokenizer.ts";

/** A vocabulary of nothing but special tokens; those in `user` are user-defined. */
function specialSpec(
  control: readonly string[],
  user: readonly string[] = [],
  changes: Partial<TokenizerSpec> = {},
): TokenizerSpec {
  const types = [...control.map(() => TOKEN_TYPE.control), ...user.map(() => TOKEN_TYPE.userDefined)];
  return handMadeBpe([], { tokens: packStrings([...control, ...user]), types: Int32Array.from(types), merges: null, ...changes });
}

function partition(control: readonly string[], text: string, changes: Partial<TokenizerSpec> = {}): Fragment[] {
  return new SpecialTokens(specialSpec(control, [], changes)).partition(text, true);
}

/** llama.cpp's way: token by token, the longest first, each through all fragments. */
function naivePartition(texts: readonly string[], text: string): Fragment[] {
  let fragments: Fragment[] = text === "" ? [] : [text];
  const order = texts.map((_, id) => id).sort((a, b) => texts[b]!.length - texts[a]!.length);
  for (const id of order) {
    fragments = fragments.flatMap((fragment) => {
      if (typeof fragment === "number") return [fragment];
      return fragment
        .split(texts[id]!)
        .flatMap((part, i): Fragment[] => [...(i > 0 ? [id] : []), ...(part === "" ? [] : [part])]);
    });
  }
  return fragments;
}

describe("special tokens in text", () => {
  it("cuts at them, the longest first and then the leftmost", () => {
    expect(partition(["<a>", "<b>"], "x<a>y<b><a>")).toEqual(["x", 0, "y", 1, 0]);
    expect(partition(["ab", "bcd"], "abcd")).toEqual(["a", 1]);
    expect(partition(["aa", "aaa"], "aaaaa")).toEqual([1, 0]);
    expect(partition(["aa"], "aaa")).toEqual([0, "a"]);
    expect(partition([], "abc")).toEqual(["abc"]);
    expect(partition(["a"], "")).toEqual([]);
  });

  it("agrees with llama.cpp's loop over all tokens", () => {
    const unit = fc.constantFrom("a", "b", "<");
    const texts = fc.uniqueArray(fc.string({ unit, minLength: 1, maxLength: 5 }), {
      minLength: 1,
      maxLength: 6,
      // Of overlapping tokens of one length llama.cpp's order is that of an unstable sort.
      selector: (text) => text.length,
    });
    fc.assert(
      fc.property(texts, fc.string({ unit, maxLength: 30 }), (tokens, text) => {
        expect(partition(tokens, text)).toEqual(naivePartition(tokens, text));
      }),
      { numRuns: 3000 },
    );
  });

  it("parses user-defined tokens always, others on demand", () => {
    const specials = new SpecialTokens(specialSpec(["<c>"], ["<u>"]));
    expect(specials.partition("<c><u>", false)).toEqual(["<c>", 1]);
    expect(specials.partition("<c><u>", true)).toEqual([0, 1]);
  });

  it("swallows white space where a token says so", () => {
    expect(partition(["<a>"], "x <a>\n\t y", { rstripIds: [0] })).toEqual(["x ", 0, "y"]);
    expect(partition(["<a>"], "x \n<a> y", { lstripIds: [0] })).toEqual(["x", 0, " y"]);
    expect(partition(["<a>"], " <a> ", { lstripIds: [0], rstripIds: [0] })).toEqual([0]);
  });

  it("ignores texts that no string can contain", () => {
    const tokens = { bytes: Uint8Array.of(0xff, 0x61), offsets: Uint32Array.of(0, 1, 1, 2) };
    const specials = new SpecialTokens(specialSpec([], [], { tokens, types: new Int32Array(3).fill(TOKEN_TYPE.control) }));
    expect(specials.partition("a\ufffda", true)).toEqual([2, "\ufffd", 2]);
  });
});

describe("guards", () => {
  const tokenizer = createTokenizer(handMadeBpe([]));
  const guard = "\ufdd0";
  const first = 256;
  const special = fc.constantFrom(...BPE_SPECIALS);

  it("keep user text from being parsed, whatever it is and however the template goes on", () => {
    const part = fc.oneof(
      special,
      special.chain((text) => fc.nat(text.length).map((n) => text.slice(0, n))),
      fc.constantFrom("x", "<", "|", "é", " ", ">"),
    );
    const text = fc.array(part, { maxLength: 6 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, text, special, special, (one, two, before, after) => {
        const user = [tokenizer.guardUserText(one, guard), tokenizer.guardUserText(two, guard)];
        const rendered = `${before}${user[0]}${after}${user[1]}${user[0]}`;
        const idOf = (token: string): number => first + BPE_SPECIALS.indexOf(token as (typeof BPE_SPECIALS)[number]);
        expect(tokenizer.encodeTemplate(rendered, guard)).toEqual([
          idOf(before),
          ...tokenizer.encode(one),
          idOf(after),
          ...tokenizer.encode(two + one),
        ]);
      }),
      { numRuns: 3000 },
    );
  });

  it("keep a token from being completed at an edge", () => {
    for (const [template, user, rest] of [
      ["", "<|eot", "_id|>"],
      ["<|eot_", "id|>", ""],
      ["<", "|eot_id|>x", ""],
    ] as const) {
      const ids = tokenizer.encodeTemplate(template + tokenizer.guardUserText(user, guard) + rest, guard);
      expect(ids.filter((id) => tokenizer.isSpecial(id))).toEqual([]);
      expect(tokenizer.decode(ids)).toBe(template + user + rest);
    }
  });

  it("leave text alone that cannot matter", () => {
    for (const text of ["", "hello", "a < b | c", "<user>", "y<|y"]) expect(tokenizer.guardUserText(text, guard)).toBe(text);
  });

  it("protect tokens of one character", () => {
    const one = createTokenizer(specialSpec(["#", "é", "😀", "#é"]));
    const user = one.guardUserText("a#é😀", guard);
    expect(one.encodeTemplate(user, guard).filter((id) => one.isSpecial(id))).toEqual([]);
    expect(one.encodeTemplate(`${user}#`, guard)).toEqual([0]);
  });

  it("do not split a character and vanish from the text", () => {
    const emoji = createTokenizer(
      handMadeBpe([], { tokens: packStrings([...Array(256).keys()].map(String).concat("😀>")), types: typed(257) }),
    );
    const user = emoji.guardUserText("😀>", guard);
    expect(user).toBe(`😀${guard}>`);
    expect(emoji.encodeTemplate(user, guard)).not.toContain(256);
  });

  it("are picked where they are free", () => {
    expect(tokenizer.pickGuard([])).toBe("\ufdd0");
    expect(tokenizer.pickGuard(["a\ufdd0", "\ufdd1"])).toBe("\ufdd2");
    const all = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i)).join("");
    expect(tokenizer.pickGuard([all])).toBe("\ufffe");
    const planes = Array.from({ length: 17 }, (_, plane) =>
      String.fromCodePoint(plane * 0x10000 + 0xfffe, plane * 0x10000 + 0xffff),
    ).join("");
    expect(() => tokenizer.pickGuard([all, planes])).toThrow(expect.objectContaining({ code: "tokenizer-no-guard" }));
  });
});

function typed(n: number): Int32Array {
  return Int32Array.from({ length: n }, (_, id) => (id === n - 1 ? TOKEN_TYPE.control : TOKEN_TYPE.normal));
}
