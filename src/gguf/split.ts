/**
 * Models in several files, as `gguf-split` writes them: what a part says of itself, and whether parts belong together.
 * Source: keys `split.*` and the name pattern as in
 * https://github.com/ggml-org/llama.cpp/blob/d5845f951ce9ccbfe040f148d2d80ebb6a5864e9/tools/gguf-split/gguf-split.cpp.
 * Names of parts come from the name that the user gave, never from inside a file.
 */
import { GgufError } from "../errors.ts";
import { type GgufFile, type GgufMetadata, quoted } from "./metadata.ts";

/** Place of a file among the parts of a model. */
export interface SplitInfo {
  /** From 0. */
  readonly no: number;
  readonly count: number;
  /** Tensors of all parts together; null when the file does not say. */
  readonly nTensors: number | null;
}

/** Most parts of one model: the names have five digits. */
const MAX_PARTS = 99_999;

/**
 * What `metadata` says about parts; null for a model in one file.
 * @throws GgufError `gguf-split` for numbers that contradict each other, `gguf-key-type`.
 */
export function splitInfo(metadata: GgufMetadata): SplitInfo | null {
  const entry = metadata.entry("split.count");
  const count = metadata.number("split.count");
  if (entry === undefined || count === undefined || count === 0) return null;
  const no = metadata.number("split.no") ?? 0;
  const nTensors = metadata.number("split.tensors.count") ?? null;
  if (!Number.isInteger(count) || count < 1 || count > MAX_PARTS || !Number.isInteger(no) || no < 0 || no >= count) {
    throw splitError(
      `part ${no} of ${count} at byte ${entry.byteOffset} is impossible; must be 0 to count - 1, count at most ${MAX_PARTS}`,
      entry.byteOffset,
    );
  }
  if (nTensors !== null && (!Number.isInteger(nTensors) || nTensors < 0)) {
    throw splitError(
      `'split.tensors.count' is ${nTensors}; must be a whole number`,
      metadata.entry("split.tensors.count")!.byteOffset,
    );
  }
  return count === 1 ? null : { no, count, nTensors };
}

/**
 * Names of all parts, given the name (or path, or URL) of one: `model-00001-of-00003.gguf`. Null when it has no such form
 * or its numbers are impossible.
 */
export function splitPartNames(name: string): readonly string[] | null {
  const match = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s.exec(name);
  if (match === null) return null;
  const [, stem, no, count] = match;
  if (Number(no) < 1 || Number(no) > Number(count)) return null;
  return Array.from({ length: Number(count) }, (_, i) => `${stem}-${String(i + 1).padStart(5, "0")}-of-${count}.gguf`);
}

/**
 * Throws unless `parts`, in order, are the parts of one model.
 * @throws GgufError `gguf-split`: a part that is missing, misplaced, of another model, or repeats a tensor.
 */
export function checkSplit(parts: readonly GgufFile[]): void {
  const first = parts[0] === undefined ? null : splitInfo(parts[0].metadata);
  if (first === null) throw splitError("the first file is not a part of a model", 0);
  if (parts.length !== first.count) throw splitError(`the model has ${first.count} parts, but ${parts.length} were given`, 0);
  const architecture = parts[0]!.metadata.string("general.architecture");
  const names = new Set<string>();
  for (const [i, part] of parts.entries()) {
    const info = splitInfo(part.metadata);
    if (info === null || info.no !== i || info.count !== first.count) {
      throw splitError(
        `file ${i + 1} says ${info === null ? "nothing of parts" : `part ${info.no + 1} of ${info.count}`}; must be part ${i + 1} of ${first.count}`,
        0,
      );
    }
    if (info.nTensors !== first.nTensors)
      throw splitError(`part ${i + 1} counts ${info.nTensors} tensors, part 1 counts ${first.nTensors}`, 0);
    const own = part.metadata.string("general.architecture");
    if (own !== undefined && own !== architecture)
      throw splitError(`part ${i + 1} has architecture ${quoted(own)}, part 1 another`, 0);
    for (const tensor of part.tensors) {
      if (names.has(tensor.name)) throw splitError(`part ${i + 1} repeats tensor ${quoted(tensor.name)}`, tensor.byteOffset);
      names.add(tensor.name);
    }
  }
  if (first.nTensors !== null && names.size !== first.nTensors) {
    throw splitError(`the parts hold ${names.size} tensors together; must be ${first.nTensors}`, 0);
  }
}

function splitError(what: string, byteOffset: number): GgufError {
  return new GgufError("gguf-split", `gguf: split: ${what}`, byteOffset, {
    hint: "Download all parts of the same model and revision, and keep their names.",
  });
}
