/**
 * Cuts text at special tokens, longest first and then leftmost, as llama.cpp does (src/llama-vocab.cpp,
 * `tokenizer_st_partition`, github.com/ggml-org/llama.cpp @00ad355e009e83abf98f96a6ded7193b95763681), and keeps special tokens
 * in user text from being parsed. One right-to-left pass of an Aho–Corasick automaton over the reversed token texts finds
 * what begins at each place, so the work is linear in the text whatever the vocabulary says.
 */
import { packedBytes, packedCount } from "../bytes/packed-strings.ts";
import { UnsupportedError } from "../errors.ts";
import { TOKEN_TYPE, type TokenizerSpec } from "./spec.ts";

/** A stretch of ordinary text, or the id of a special token. */
export type Fragment = string | number;

/** Special tokens beyond this many UTF-16 units are not parsed. Real ones have under 100. */
const MAX_UNITS = 1024;

/** Bounds the automaton's memory (about 100 bytes a node). Real vocabularies need under 500,000. */
const MAX_NODES = 2 ** 21;

const ROOT = 0;
const NONE = -1;

export class SpecialTokens {
  readonly #lstrip: ReadonlySet<number>;
  readonly #rstrip: ReadonlySet<number>;
  readonly #ids: number[] = [];
  readonly #texts: string[] = [];
  /** Parsed in any text, not only on demand. */
  readonly #isAlways: boolean[] = [];

  // The automaton over reversed texts. Node 0 is the empty text.
  readonly #children = new Map<number, number>();
  readonly #fails: number[] = [ROOT];
  readonly #depths: number[] = [0];
  /** Token (index into #ids) that a node spells, or NONE. */
  readonly #tokenAt: number[] = [NONE];
  /** Nearest node on the way of failures that spells a token, itself included; ROOT = none. */
  readonly #outputs: number[] = [ROOT];
  readonly #parents: number[] = [ROOT];
  readonly #units: number[] = [0];
  /** The node spells a proper end of a token that is parsed only on demand. */
  readonly #isInner: boolean[] = [false];

  // For guards: what is parsed only on demand.
  /** Texts, sorted by UTF-16 units. */
  readonly #sorted: readonly string[];
  /** Texts of one code point. */
  readonly #single: ReadonlySet<string>;
  readonly #longest: number;

  constructor(spec: TokenizerSpec) {
    this.#lstrip = new Set(spec.lstripIds);
    this.#rstrip = new Set(spec.rstripIds);
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const types = spec.types;
    const n = types === null ? 0 : packedCount(spec.tokens);
    for (let id = 0; id < n; id++) {
      const type = types![id]!;
      if (type !== TOKEN_TYPE.control && type !== TOKEN_TYPE.userDefined && type !== TOKEN_TYPE.unknown) continue;
      const bytes = packedBytes(spec.tokens, id);
      if (bytes.length === 0 || bytes.length > MAX_UNITS * 3) continue;
      let text: string;
      try {
        text = decoder.decode(bytes.slice());
      } catch {
        // No JavaScript string has these bytes, so no text can contain the token.
        continue;
      }
      if (text.length <= MAX_UNITS) this.#insert(id, text, type === TOKEN_TYPE.userDefined);
    }
    this.#link();
    this.#sorted = this.#texts.filter((_, token) => !this.#isAlways[token]!).sort((a, b) => (a < b ? -1 : 1));
    this.#single = new Set(
      this.#sorted.filter((text) => text.length === 1 || (text.length === 2 && text.codePointAt(0)! > 0xffff)),
    );
    this.#longest = this.#sorted.reduce((most, text) => Math.max(most, text.length), 0);
  }

  /**
   * `text` as fragments in order; none is an empty string. `special`: parse control and unknown tokens too. `guards`:
   * ascending positions; control and unknown tokens across one of them are not parsed (a position given twice protects the
   * token of one character that begins there).
   */
  partition(text: string, special: boolean, guards: readonly number[] = []): Fragment[] {
    const accepts = (token: number, at: number): boolean =>
      this.#isAlways[token]! || (special && !isGuarded(guards, at, this.#texts[token]!));
    const { positions, nodes } = this.#search(text, accepts);
    if (positions.length === 0) return text === "" ? [] : [text];
    return this.#choose(text, positions, nodes, accepts);
  }

  /** `text` with `guard` wherever a token that is parsed only on demand occurs or could be completed from outside. */
  guard(text: string, guard: string): string {
    if (text === "") return text;
    const places: number[] = [];
    if (this.#beginsInside(text)) places.push(0);
    const { positions, nodes } = this.#search(text, (token) => !this.#isAlways[token]!);
    for (let i = positions.length - 1; i >= 0; i--) {
      const at = positions[i]!;
      const first = String.fromCodePoint(text.codePointAt(at)!);
      // The longest one begins with all others, so one place behind its first character breaks them all.
      if (this.#texts[this.#tokenAt[nodes[i]!]!]!.length > first.length) places.push(at + first.length);
      if (this.#single.has(first)) places.push(at, at);
    }
    if (this.#endsInside(text)) places.push(text.length);
    return insertAt(
      text,
      places.sort((a, b) => a - b),
      guard,
    );
  }

  #insert(id: number, text: string, isAlways: boolean): void {
    let node = ROOT;
    for (let i = text.length - 1; i >= 0; i--) {
      const unit = text.charCodeAt(i);
      const key = node * 65536 + unit;
      let child = this.#children.get(key);
      if (child === undefined) {
        child = this.#fails.length;
        if (child >= MAX_NODES) {
          throw new UnsupportedError(
            "tokenizer-special-size",
            `tokenizer: the special tokens have more than ${MAX_NODES} characters`,
          );
        }
        this.#children.set(key, child);
        this.#fails.push(ROOT);
        this.#depths.push(this.#depths[node]! + 1);
        this.#tokenAt.push(NONE);
        this.#outputs.push(ROOT);
        this.#parents.push(node);
        this.#units.push(unit);
        this.#isInner.push(false);
      }
      node = child;
      if (!isAlways && i > 0) this.#isInner[node] = true;
    }
    if (this.#tokenAt[node] !== NONE) return;
    this.#tokenAt[node] = this.#ids.length;
    this.#ids.push(id);
    this.#texts.push(text);
    this.#isAlways.push(isAlways);
  }

  /** Failure and output links, by depth. */
  #link(): void {
    const byDepth = Int32Array.from(this.#depths.keys()).sort((a, b) => this.#depths[a]! - this.#depths[b]!);
    for (const node of byDepth) {
      if (node === ROOT) continue;
      if (this.#depths[node]! > 1) this.#fails[node] = this.#step(this.#fails[this.#parents[node]!]!, this.#units[node]!);
      this.#outputs[node] = this.#tokenAt[node] !== NONE ? node : this.#outputs[this.#fails[node]!]!;
    }
  }

  #step(from: number, unit: number): number {
    for (let node = from; ; node = this.#fails[node]!) {
      const child = this.#children.get(node * 65536 + unit);
      if (child !== undefined) return child;
      if (node === ROOT) return ROOT;
    }
  }

  /** The next shorter token that begins at the same place, as a node; ROOT = none. */
  #nextOutput(node: number): number {
    return this.#outputs[this.#fails[node]!]!;
  }

  /** Places, descending, where an accepted token begins, each with the node of the longest. */
  #search(text: string, accepts: (token: number, at: number) => boolean): { positions: number[]; nodes: number[] } {
    const positions: number[] = [];
    const nodes: number[] = [];
    if (this.#ids.length === 0) return { positions, nodes };
    let state = ROOT;
    for (let at = text.length - 1; at >= 0; at--) {
      state = this.#step(state, text.charCodeAt(at));
      let node = this.#outputs[state]!;
      while (node !== ROOT && !accepts(this.#tokenAt[node]!, at)) node = this.#nextOutput(node);
      if (node === ROOT) continue;
      positions.push(at);
      nodes.push(node);
    }
    return { positions, nodes };
  }

  /** Of overlapping candidates the longest stay, then the leftmost; then what lies between. */
  #choose(text: string, positions: number[], nodes: number[], accepts: (token: number, at: number) => boolean): Fragment[] {
    const nodeAt = new Int32Array(text.length);
    const byLength = new Map<number, number[]>();
    const enter = (at: number, node: number): void => {
      nodeAt[at] = node;
      const length = this.#depths[node]!;
      const bucket = byLength.get(length);
      if (bucket === undefined) byLength.set(length, [at]);
      else bucket.push(at);
    };
    for (let i = positions.length - 1; i >= 0; i--) enter(positions[i]!, nodes[i]!);
    // 1: inside a token or stripped; 2: a token begins here.
    const taken = new Uint8Array(text.length);
    for (let length = Math.max(...byLength.keys()); length > 0; length--) {
      const bucket = byLength.get(length);
      if (bucket === undefined) continue;
      for (const at of Int32Array.from(bucket).sort()) {
        if (taken[at] !== 0) continue;
        // Whatever is taken already is at least this long, so it covers an end if it overlaps.
        if (taken[at + length - 1] === 0) {
          this.#take(text, taken, at, length, this.#ids[this.#tokenAt[nodeAt[at]!]!]!);
          continue;
        }
        let node = this.#nextOutput(nodeAt[at]!);
        while (node !== ROOT && (taken[at + this.#depths[node]! - 1] !== 0 || !accepts(this.#tokenAt[node]!, at))) {
          node = this.#nextOutput(node);
        }
        if (node !== ROOT) enter(at, node);
      }
    }
    return this.#assemble(text, taken, nodeAt);
  }

  #take(text: string, taken: Uint8Array, at: number, length: number, id: number): void {
    taken.fill(1, at, at + length);
    taken[at] = 2;
    if (this.#lstrip.has(id)) for (let i = at - 1; i >= 0 && taken[i] === 0 && isAsciiSpace(text, i); i--) taken[i] = 1;
    if (this.#rstrip.has(id)) {
      for (let i = at + length; i < text.length && taken[i] === 0 && isAsciiSpace(text, i); i++) taken[i] = 1;
    }
  }

  #assemble(text: string, taken: Uint8Array, nodeAt: Int32Array): Fragment[] {
    const fragments: Fragment[] = [];
    for (let at = 0; at < text.length; ) {
      if (taken[at] === 2) {
        fragments.push(this.#ids[this.#tokenAt[nodeAt[at]!]!]!);
        at += this.#depths[nodeAt[at]!]!;
      } else if (taken[at] === 1) {
        at++;
      } else {
        let stop = at + 1;
        while (stop < text.length && taken[stop] === 0) stop++;
        fragments.push(text.slice(at, stop));
        at = stop;
      }
    }
    return fragments;
  }

  /** True where `text` begins with the end of a token, so that text before it could complete the token. */
  #beginsInside(text: string): boolean {
    let state = ROOT;
    for (let at = Math.min(text.length, MAX_UNITS) - 1; at >= 0; at--) state = this.#step(state, text.charCodeAt(at));
    for (; state !== ROOT; state = this.#fails[state]!) if (this.#isInner[state]) return true;
    return false;
  }

  /** True where `text` ends with the beginning of a token, so that text behind it could complete the token. */
  #endsInside(text: string): boolean {
    for (let at = Math.max(0, text.length - this.#longest + 1); at < text.length; at++) {
      const tail = text.slice(at);
      const candidate = this.#sorted[lowerBound(this.#sorted, tail)];
      // The token itself sorts before longer ones that it begins.
      if (candidate?.startsWith(tail) && candidate.length > tail.length) return true;
      const behind = candidate === tail ? this.#sorted[lowerBound(this.#sorted, tail) + 1] : undefined;
      if (behind?.startsWith(tail)) return true;
    }
    return false;
  }
}

/** True where a guard lies inside the token `text` at `at`. */
function isGuarded(guards: readonly number[], at: number, text: string): boolean {
  const first = lowerBound(guards, at + 1);
  if (first < guards.length && guards[first]! < at + text.length) return true;
  const isSingle = text.length === 1 || (text.length === 2 && text.codePointAt(0)! > 0xffff);
  return isSingle && first >= 2 && guards[first - 1] === at && guards[first - 2] === at;
}

/** Index of the first element that is not less than `value`. */
function lowerBound<T extends number | string>(sorted: readonly T[], value: T): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function insertAt(text: string, places: readonly number[], guard: string): string {
  const parts: string[] = [];
  let from = 0;
  for (const place of places) {
    parts.push(text.slice(from, place));
    from = place;
  }
  parts.push(text.slice(from));
  return parts.join(guard);
}

/** C's isspace. */
function isAsciiSpace(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit === 32 || (unit >= 9 && unit <= 13);
}
