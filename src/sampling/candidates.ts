/**
 * The tokens that may still be drawn. Filters shorten and reorder one pair of arrays that lives as long as the sampler, so that a
 * token of a large vocabulary costs no allocation. The order is always defined: by id after `fillCandidates`, best first after
 * `selectTop`; sums over candidates therefore have one order in every engine.
 */
import { BackendError } from "../errors.ts";

/** Entries 0 … n − 1 of `ids` and `logits` are the candidates. */
export interface Candidates {
  /** [nVocab] */
  readonly ids: Int32Array;
  /** [nVocab] */
  readonly logits: Float32Array;
  n: number;
  /** Best first, the lower id first on ties; else ascending ids. */
  isSorted: boolean;
  /** [nVocab] room for sort keys and weights; holds nothing between calls. */
  readonly scratch: Float64Array;
  /** The bits of `logits`. */
  readonly bits: Int32Array;
}

/** Ids take the low 21 bits of a sort key, logits the 32 above them: together the 53 bits of an exact integer in f64. */
const ID_RANGE = 2 ** 21;

/** Room for the candidates of a vocabulary. */
export function createCandidates(nVocab: number): Candidates {
  if (nVocab > ID_RANGE) throw new RangeError(`sampling: a vocabulary of ${nVocab} tokens; must be at most ${ID_RANGE}`);
  const logits = new Float32Array(nVocab);
  return {
    ids: new Int32Array(nVocab),
    logits,
    n: 0,
    isSorted: false,
    scratch: new Float64Array(nVocab),
    bits: new Int32Array(logits.buffer),
  };
}

/** All tokens of `logits` [nVocab], in the order of their ids. */
export function fillCandidates(candidates: Candidates, logits: Float32Array): void {
  candidates.logits.set(logits);
  for (let id = 0; id < logits.length; id++) candidates.ids[id] = id;
  candidates.n = logits.length;
  candidates.isSorted = false;
}

/**
 * Index of the largest logit, the first of equals. −Infinity is a masked token.
 * @throws BackendError `logits-not-finite` for NaN or +Infinity, `logits-all-masked` where no token is left
 */
export function argmax(logits: Float32Array, n = logits.length): number {
  let best = -1;
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < n; i++) {
    const logit = logits[i]!;
    if (logit > max) {
      max = logit;
      best = i;
    } else if (Number.isNaN(logit)) {
      throw notFinite(i, logit);
    }
  }
  if (max === Number.POSITIVE_INFINITY) throw notFinite(best, max);
  if (best < 0) {
    throw new BackendError("logits-all-masked", `sampling: none of ${n} tokens may be drawn: every logit is −Infinity`, {
      data: { nVocab: n },
      hint: "A grammar or a mask has excluded every token.",
    });
  }
  return best;
}

function notFinite(id: number, logit: number): BackendError {
  return new BackendError("logits-not-finite", `sampling: the logit of token ${id} is ${logit}; must be a number or −Infinity`, {
    data: { tokenId: id, got: String(logit) },
    hint: "The model's computation broke down; `doctor` finds out where.",
  });
}

/** Largest logit of the candidates, which must have one that is not −Infinity. */
export function maxLogit(candidates: Candidates): number {
  if (candidates.isSorted) return candidates.logits[0]!;
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < candidates.n; i++) if (candidates.logits[i]! > max) max = candidates.logits[i]!;
  return max;
}

/** Moves the `k` best to the front, best first; the rest follows in no order. k ≤ n. */
export function selectTop(candidates: Candidates, k: number): void {
  const { ids, logits, bits, n, scratch } = candidates;
  const keys = n === scratch.length ? scratch : scratch.subarray(0, n);
  for (let i = 0; i < n; i++) {
    if (logits[i] === 0) logits[i] = 0; // −0 and 0 are a tie
    const b = bits[i]!;
    // Integers in the order of the floats, then inverted so that the best has the smallest key.
    const descending = ~(b < 0 ? ~b : b ^ 0x80000000) >>> 0;
    keys[i] = descending * ID_RANGE + ids[i]!;
  }
  if (k < n) partitionSmallest(keys, k);
  (k < n ? keys.subarray(0, k) : keys).sort();
  for (let i = 0; i < n; i++) {
    const key = keys[i]!;
    const descending = Math.floor(key / ID_RANGE);
    const ascending = ~descending;
    ids[i] = key - descending * ID_RANGE;
    bits[i] = ascending < 0 ? ascending ^ 0x80000000 : ~ascending;
  }
}

/** Reorders distinct `keys` so that the `k` smallest come first (quickselect; sorts the rest if the pivots are unlucky). */
function partitionSmallest(keys: Float64Array, k: number): void {
  let lo = 0;
  let hi = keys.length - 1;
  for (let round = 0; lo < hi; round++) {
    if (round === 64) {
      keys.subarray(lo, hi + 1).sort();
      return;
    }
    const pivot = median(keys[lo]!, keys[(lo + hi) >>> 1]!, keys[hi]!);
    let i = lo;
    let j = hi;
    while (i <= j) {
      while (keys[i]! < pivot) i++;
      while (keys[j]! > pivot) j--;
      if (i <= j) {
        const key = keys[i]!;
        keys[i++] = keys[j]!;
        keys[j--] = key;
      }
    }
    if (k - 1 <= j) hi = j;
    else if (k - 1 >= i) lo = i;
    else return;
  }
}

function median(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
