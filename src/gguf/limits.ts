/**
 * Upper bounds for hostile files. Every count is also compared with the bytes that remain, so these only stop large files
 * that would make many small objects; each lies well above what published models need, which is stated beside it.
 */
export const GGUF_LIMITS = {
  /** Header up to the data section. The largest seen are near 30 MB (262,144 tokens with merges, or an embedded tokenizer JSON). */
  headerBytes: 256 * 1024 * 1024,
  /** One string. Tokenizer JSONs reach 20 MB, chat templates 100 KB. */
  stringBytes: 64 * 1024 * 1024,
  /** The specification's limit of a key: 2^16 - 1. */
  keyBytes: 65_535,
  /** The specification's limit of a tensor name. */
  nameBytes: 64,
  /** Keys. Published files have 20 to 100; an entry costs about 200 bytes of heap against 14 of file. */
  keys: 65_536,
  /** Tensors. The largest, with one tensor per expert, have about 45,000; a record costs about 300 bytes of heap. */
  tensors: 524_288,
  /** Bools of one array: they become 8 bytes each. Real ones have one per layer. */
  bools: 1_048_576,
  /** Arrays inside arrays: how deep, and how many in one file (about 250 bytes of heap against 12 of file). */
  arrayDepth: 4,
  nestedArrays: 65_536,
  /** ggml's GGML_MAX_DIMS. */
  dims: 4,
  /** One dimension: kernels index rows with int32. The largest real one is a vocabulary of 262,144. */
  dim: 2_147_483_647,
  /** Least and greatest alignment: the specification wants a multiple of 8; the largest page anyone maps by is 2 MiB. */
  minAlignment: 8,
  maxAlignment: 2_097_152,
} as const;

/** Alignment of the data section when the file does not say. */
export const DEFAULT_ALIGNMENT = 32;

/** Least bytes of a key and its value: key length 8, one byte of key, type 4, one byte of value. */
export const MIN_ENTRY_BYTES = 14;

/** Least bytes of a tensor record: name length 8, one byte of name, dimension count 4, one dimension 8, type 4, offset 8. */
export const MIN_TENSOR_BYTES = 33;

/** `n` rounded up to a multiple of `alignment`. */
export function alignUp(n: number, alignment: number): number {
  const rest = n % alignment;
  return rest === 0 ? n : n + (alignment - rest);
}
