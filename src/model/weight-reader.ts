/**
 * Reads the rows of a weight from the file, in pieces, always in the format's canonical layout: an I2_S file of another layout is
 * reordered here, so that no backend knows there is more than one.
 */
import type { ByteSource } from "../bytes/byte-source.ts";
import { GgufError } from "../errors.ts";
import type { GgufFile, GgufTensor } from "../gguf/metadata.ts";
import type { Weight } from "../graph/tensor.ts";
import type { QuantMatrix } from "../quant/format.ts";
import { type I2sLayout, toX86 } from "../quant/i2_s.ts";
import { quantFormat } from "../quant/registry.ts";

export class FileWeightReader {
  readonly #source: ByteSource;
  readonly #tensors: ReadonlyMap<string, GgufTensor>;
  readonly #i2sLayout: I2sLayout;
  readonly #scales = new Map<string, number>();

  constructor(source: ByteSource, file: GgufFile, i2sLayout: I2sLayout = "x86") {
    this.#source = source;
    this.#tensors = new Map(file.tensors.map((tensor) => [tensor.name, tensor]));
    this.#i2sLayout = i2sLayout;
  }

  /** Whether `readRowSync` works on this source. */
  get canReadSync(): boolean {
    return this.#source.readSync !== undefined;
  }

  /**
   * Rows [begin, end) of `weight` in the format of the file. `begin` must be a multiple of 4, and `end` too unless it is the last row.
   * @throws GgufError `weight-scale` where the scale of an I2_S tensor is not finite.
   */
  async rows(weight: Weight, begin: number, end: number, signal?: AbortSignal): Promise<QuantMatrix> {
    const tensor = this.#tensor(weight);
    const rowBytes = quantFormat(tensor.format, `tensor '${weight.name}'`).rowBytes(weight.nCols);
    const scale = await this.#scale(weight, tensor, signal);
    const data = await this.#source.read(tensor.byteOffset + begin * rowBytes, (end - begin) * rowBytes, signal);
    const matrix: QuantMatrix = { nRows: end - begin, nCols: weight.nCols, data, scale };
    return tensor.format === "I2_S" ? toX86(matrix, this.#i2sLayout) : matrix;
  }

  /** One row of an embedding in the format of the file, without waiting. */
  rowSync(weight: Weight, row: number): QuantMatrix {
    const tensor = this.#tensor(weight);
    const rowBytes = quantFormat(tensor.format, `tensor '${weight.name}'`).rowBytes(weight.nCols);
    const read = (begin: number, nRows: number) => this.#source.readSync!(tensor.byteOffset + begin * rowBytes, nRows * rowBytes);
    if (tensor.format !== "I2_S") return { nRows: 1, nCols: weight.nCols, data: read(row, 1), scale: 1 };
    // a layout may interleave four rows
    const first = row - (row % 4);
    const nRows = Math.min(4, weight.nRows - first);
    const scale =
      this.#scales.get(weight.name) ?? this.#checkScale(weight, tensor, this.#source.readSync!(scaleOffset(weight, tensor), 4));
    const rows = toX86({ nRows, nCols: weight.nCols, data: read(first, nRows), scale }, this.#i2sLayout);
    return { ...rows, nRows: 1, data: rows.data.subarray((row - first) * rowBytes, (row - first + 1) * rowBytes) };
  }

  /** Where a weight begins in the file: reading in this order reads forwards. */
  fileOffset(weight: Weight): number {
    return this.#tensor(weight).byteOffset;
  }

  #tensor(weight: Weight): GgufTensor {
    return this.#tensors.get(weight.name)!;
  }

  async #scale(weight: Weight, tensor: GgufTensor, signal?: AbortSignal): Promise<number> {
    if (tensor.format !== "I2_S") return 1;
    return (
      this.#scales.get(weight.name) ??
      this.#checkScale(weight, tensor, await this.#source.read(scaleOffset(weight, tensor), 4, signal))
    );
  }

  #checkScale(weight: Weight, tensor: GgufTensor, tail: Uint8Array): number {
    const scale = new DataView(tail.buffer, tail.byteOffset).getFloat32(0, true);
    if (!Number.isFinite(scale)) {
      const at = scaleOffset(weight, tensor);
      throw new GgufError(
        "weight-scale",
        `model: the scale of tensor '${weight.name}' at byte ${at} is ${scale}; must be finite`,
        at,
        {
          data: { tensor: weight.name },
        },
      );
    }
    this.#scales.set(weight.name, scale);
    return scale;
  }
}

/** I2_S keeps the tensor's scale behind all rows. */
function scaleOffset(weight: Weight, tensor: GgufTensor): number {
  return tensor.byteOffset + (weight.nRows * weight.nCols) / 4;
}
