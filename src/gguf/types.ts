/**
 * What a tensor's type id means in a given file. Ids 36 to 42 differ between forks, so they are decided by the bytes that the
 * tensor occupies (up to the next tensor or the end of the file) and by the architecture, never by the id alone.
 * Sources: ids of https://github.com/ggml-org/llama.cpp/blob/004eaba804a34aa1a397b61d6d5274171c5e4cba/ggml/include/ggml.h,
 * for 40 to 42 the golden models, for the forks of BitNet (36 to 39) and PrismML (42, 142, 143) reports of their users. Sizes belong to `quant/geometry.ts`.
 */
import { GgufError, UnsupportedError } from "../errors.ts";
import { FORMAT_GEOMETRY, type FormatGeometry, type FormatName, geometryBytes } from "../quant/geometry.ts";
import { alignUp } from "./limits.ts";
import { quoted } from "./metadata.ts";

/** What type resolution needs to know of a tensor. */
export interface TypedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly typeId: number;
  /** Where the type id stands in the file. */
  readonly typeOffset: number;
  /** Bytes from the tensor's start to the next tensor or the end of the file. */
  readonly room: number;
}

/** The meaning of an id; `isCertain` is false when neither the size nor the architecture confirms it. */
export interface ResolvedType {
  readonly format: FormatName;
  readonly isCertain: boolean;
}

interface Meaning {
  /** Name for messages. */
  readonly name: string;
  /** Null: this engine refuses it, with `why`. */
  readonly format: FormatName | null;
  readonly geometry: FormatGeometry | null;
  readonly why?: string;
}

const known = (format: FormatName): Meaning => ({ name: format, format, geometry: FORMAT_GEOMETRY[format] });
const refused = (name: string, why: string, geometry: FormatGeometry | null = null): Meaning => ({
  name,
  format: null,
  geometry,
  why,
});

const REMOVED = "was removed from GGUF; convert the model again";
const FORK_TABLES = "is a table format of the BitNet fork that depends on the machine it was made on; use an I2_S file";

/** Ids with one meaning everywhere, by ggml's numbers. */
const PLAIN: Readonly<Record<number, FormatName>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  6: "Q5_0",
  7: "Q5_1",
  8: "Q8_0",
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  12: "Q4_K",
  13: "Q5_K",
  14: "Q6_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  30: "BF16",
  34: "TQ1_0",
  35: "TQ2_0",
  40: "NVFP4",
};

/** Ids that are always refused. */
const REFUSED: Readonly<Record<number, Meaning>> = {
  4: refused("Q4_2", REMOVED),
  5: refused("Q4_3", REMOVED),
  31: refused("Q4_0_4_4", REMOVED),
  32: refused("Q4_0_4_8", REMOVED),
  33: refused("Q4_0_8_8", REMOVED),
  37: refused("I8_S (or the removed IQ4_NL_4_8)", "holds activations in the BitNet fork and is not a weight format"),
  38: refused("TL1 (or the removed IQ4_NL_8_8)", FORK_TABLES),
  142: refused("PQ2_0", "is a format of the PrismML fork; use a Q2_0 file"),
  143: refused("PTQ1_0", "is a Hadamard-rotated format of the PrismML fork; use a Q2_0 or Q1_0 file"),
};

const IQ4_NL_4_4 = refused("IQ4_NL_4_4", REMOVED, { blockElements: 32, blockBytes: 18, tailBytes: 0 });
const TL1 = refused("TL1", FORK_TABLES);
const TL2 = refused("TL2", FORK_TABLES);

/** Ids whose meaning depends on the file, most usual meaning first. */
function forkMeanings(typeId: number, isBitnet: boolean): readonly Meaning[] | undefined {
  switch (typeId) {
    case 36:
      return [known("I2_S"), IQ4_NL_4_4];
    case 39:
      return [isBitnet ? TL2 : known("MXFP4")];
    case 41:
      return isBitnet ? [known("Q1_0"), TL1] : [known("Q1_0")];
    case 42:
      return isBitnet ? [known("Q2_0"), known("Q2_0_G128"), TL2] : [known("Q2_0"), known("Q2_0_G128")];
    default:
      return undefined;
  }
}

/**
 * The format behind every type id of `tensors`. An id means one thing in a whole file, so all its tensors decide together.
 * @throws UnsupportedError `gguf-unsupported-type` for formats that are known and refused; GgufError `gguf-unknown-type`.
 */
export function resolveTypes(
  tensors: readonly TypedTensor[],
  architecture: string | undefined,
  alignment: number,
): ReadonlyMap<number, ResolvedType> {
  const byId = new Map<number, TypedTensor[]>();
  for (const tensor of tensors) {
    const group = byId.get(tensor.typeId);
    if (group === undefined) byId.set(tensor.typeId, [tensor]);
    else group.push(tensor);
  }
  const isBitnet = architecture?.startsWith("bitnet") ?? false;
  const resolved = new Map<number, ResolvedType>();
  for (const [typeId, group] of byId) resolved.set(typeId, resolveGroup(typeId, group, isBitnet, alignment));
  return resolved;
}

/** The id that writers use for `format`; the two meanings of 42 share one. */
export function typeIdOf(format: FormatName): number {
  for (const [typeId, name] of Object.entries(PLAIN)) if (name === format) return Number(typeId);
  const shared: Partial<Record<FormatName, number>> = { I2_S: 36, MXFP4: 39, Q1_0: 41, Q2_0: 42, Q2_0_G128: 42 };
  return shared[format]!;
}

function resolveGroup(typeId: number, group: readonly TypedTensor[], isBitnet: boolean, alignment: number): ResolvedType {
  const first = group[0]!;
  const plain = PLAIN[typeId];
  if (plain !== undefined) return { format: plain, isCertain: true };
  const always = REFUSED[typeId];
  if (always !== undefined) throw unsupported(first, always);
  const meanings = forkMeanings(typeId, isBitnet);
  if (meanings === undefined) {
    throw new GgufError(
      "gguf-unknown-type",
      `gguf: tensor ${quoted(first.name)} has type ${typeId} at byte ${first.typeOffset}; no known format has this id`,
      first.typeOffset,
      { data: { tensor: first.name, typeId }, hint: "The file is damaged, or comes from a newer or a private fork." },
    );
  }

  let best = meanings[0]!;
  let nBest = -1;
  for (const meaning of meanings) {
    const nExact = group.filter((tensor) => isExact(meaning, tensor, alignment)).length;
    if (nExact > nBest) [best, nBest] = [meaning, nExact];
  }
  if (best.format === null) throw unsupported(first, best);
  const unsized = meanings.find((meaning) => meaning.geometry === null);
  if (nBest === 0 && unsized !== undefined) throw unsupported(first, unsized);
  return { format: best.format, isCertain: nBest > 0 || meanings.length === 1 || (isBitnet && best.format === "I2_S") };
}

/** True if the tensor fills its room up to padding when read as `meaning`. */
function isExact(meaning: Meaning, tensor: TypedTensor, alignment: number): boolean {
  if (meaning.geometry === null || tensor.shape[0]! % meaning.geometry.blockElements !== 0) return false;
  return alignUp(geometryBytes(meaning.name, meaning.geometry, tensor.shape), alignment) === alignUp(tensor.room, alignment);
}

function unsupported(tensor: TypedTensor, meaning: Meaning): UnsupportedError {
  return new UnsupportedError(
    "gguf-unsupported-type",
    `gguf: tensor ${quoted(tensor.name)} has type ${tensor.typeId} at byte ${tensor.typeOffset}, ${meaning.name}: unsupported; it ${meaning.why}`,
    {
      data: { tensor: tensor.name, typeId: tensor.typeId, found: meaning.name, byteOffset: tensor.typeOffset },
      hint: "Choose a file in I2_S, TQ2_0, Q4_0, Q8_0 or a k-quant of the same model.",
    },
  );
}
