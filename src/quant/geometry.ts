/**
 * How many bytes a tensor of each format takes: the one place that knows block sizes. A format owns its geometry, so I2_S,
 * whose scale follows the tensor, is stated here and nowhere else.
 * Sources: block structs of
 * https://github.com/ggml-org/llama.cpp/blob/aca2e6ce7909064dbfbf3bd168e9ad3db1826e6c/ggml/src/ggml-common.h; the golden blocks
 * for what is newer than that (MXFP4, NVFP4, Q1_0, Q2_0) and for I2_S. Leaves out what the bits of a block mean.
 */
import { ConfigError, UnsupportedError } from "../errors.ts";

/** Size of a format's block; a row of a tensor is a whole number of blocks. */
export interface FormatGeometry {
  /** Weights in a block. */
  readonly blockElements: number;
  readonly blockBytes: number;
  /** Bytes that follow the last block of a tensor, once. */
  readonly tailBytes: number;
}

const block = (blockElements: number, blockBytes: number, tailBytes = 0): FormatGeometry => ({
  blockElements,
  blockBytes,
  tailBytes,
});

/** Every format with a known size, whether a kernel exists for it or not. */
export const FORMAT_GEOMETRY = {
  F32: block(1, 4),
  F16: block(1, 2),
  BF16: block(1, 2),
  F64: block(1, 8),
  I8: block(1, 1),
  I16: block(1, 2),
  I32: block(1, 4),
  I64: block(1, 8),
  Q4_0: block(32, 18),
  Q4_1: block(32, 20),
  Q5_0: block(32, 22),
  Q5_1: block(32, 24),
  Q8_0: block(32, 34),
  Q8_1: block(32, 36),
  Q2_K: block(256, 84),
  Q3_K: block(256, 110),
  Q4_K: block(256, 144),
  Q5_K: block(256, 176),
  Q6_K: block(256, 210),
  Q8_K: block(256, 292),
  IQ1_S: block(256, 50),
  IQ1_M: block(256, 56),
  IQ2_XXS: block(256, 66),
  IQ2_XS: block(256, 74),
  IQ2_S: block(256, 82),
  IQ3_XXS: block(256, 98),
  IQ3_S: block(256, 110),
  IQ4_NL: block(32, 18),
  IQ4_XS: block(256, 136),
  TQ1_0: block(256, 54),
  TQ2_0: block(256, 66),
  /** One f32 scale per tensor in a 32-byte tail. */
  I2_S: block(128, 32, 32),
  MXFP4: block(32, 17),
  NVFP4: block(64, 36),
  Q1_0: block(128, 18),
  /** Upstream's meaning of id 42. */
  Q2_0: block(64, 18),
  /** PrismML's meaning of id 42: one f16 scale for 128 weights. */
  Q2_0_G128: block(128, 34),
} as const satisfies Readonly<Record<string, FormatGeometry>>;

/** Name of a tensor format, as ggml spells it. */
export type FormatName = keyof typeof FORMAT_GEOMETRY;

/** True if `name` is a format with a known size. */
export function isFormatName(name: string): name is FormatName {
  return Object.hasOwn(FORMAT_GEOMETRY, name);
}

/**
 * Number of weights in `shape` (row length first).
 * @throws ConfigError `quant-shape` for an empty shape or a dimension that is no positive whole number;
 *   UnsupportedError `quant-size` beyond 2^53 - 1.
 */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const n of shape) {
    if (!Number.isSafeInteger(n) || n < 1) {
      throw new ConfigError("quant-shape", `quant: dimension ${n} of [${shape.join(", ")}] must be a whole number of at least 1`);
    }
    count = checkedProduct(count, n, shape);
  }
  if (shape.length === 0) throw new ConfigError("quant-shape", "quant: a tensor needs at least one dimension");
  return count;
}

/**
 * Bytes of a tensor of `format` with `shape` (row length first), its tail included.
 * @throws UnsupportedError `quant-row-length` when a row is not a whole number of blocks, `quant-size` beyond 2^53 - 1;
 *   ConfigError `quant-shape`.
 */
export function tensorBytes(format: FormatName, shape: readonly number[]): number {
  return geometryBytes(format, FORMAT_GEOMETRY[format], shape);
}

/** As `tensorBytes`, for a geometry that is not in the table; `name` is for messages. */
export function geometryBytes(name: string, geometry: FormatGeometry, shape: readonly number[]): number {
  const nElements = elementCount(shape);
  const { blockElements, blockBytes, tailBytes } = geometry;
  const nRow = shape[0]!;
  if (nRow % blockElements !== 0) {
    throw new UnsupportedError(
      "quant-row-length",
      `quant: a row of ${nRow} weights does not fit ${name}; must be a multiple of ${blockElements}`,
      { data: { format: name, rowLength: nRow, blockElements } },
    );
  }
  const nBytes = checkedProduct(nElements / blockElements, blockBytes, shape);
  if (nBytes > Number.MAX_SAFE_INTEGER - tailBytes) throw tooLarge(shape);
  return nBytes + tailBytes;
}

/** a · b for whole a, b ≤ 2^53 - 1: a product above that rounds to at least 2^53, so the test cannot be fooled. */
function checkedProduct(a: number, b: number, shape: readonly number[]): number {
  const product = a * b;
  if (product > Number.MAX_SAFE_INTEGER) throw tooLarge(shape);
  return product;
}

function tooLarge(shape: readonly number[]): UnsupportedError {
  return new UnsupportedError("quant-size", `quant: a tensor of [${shape.join(", ")}] has more than 2^53 - 1 weights or bytes`);
}
