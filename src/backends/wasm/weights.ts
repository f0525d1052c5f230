/**
 * Places the weights of a Program in a bank and streams them there: matrices as panels, norm vectors as f32, scales as numbers,
 * embeddings as the file has them, or not at all where their rows can be read from the source when they are needed.
 */

import { BackendError } from "../../errors.ts";
import { type Program, programWeights, weightKey } from "../../graph/program.ts";
import { MAX_FLOAT_HEAD_BYTES } from "../../graph/serve-head.ts";
import type { Weight } from "../../graph/tensor.ts";
import type { QuantMatrix } from "../../quant/format.ts";
import { PANEL_ROWS } from "../../quant/panel.ts";
import { quantFormat } from "../../quant/registry.ts";
import type { LoadOptions, WeightReader } from "../backend.ts";
import type { Kernel } from "./kernels.ts";
import type { Bank, BankLayout } from "./memory.ts";
import { panelFor, type Variant } from "./variant.ts";

/** Weights are read in pieces of at most this many bytes. */
const PIECE_BYTES = 16 * 2 ** 20;

/** Room for raw rows while they are made into another format: the KV range, which nothing uses yet. */
export interface Staging {
  readonly address: number;
  readonly nBytes: number;
  /** `(source, nRows, nBlocks, out) → 1 where a value is not finite`, for a weight with a file format of its own. */
  requantize(weight: Weight): Kernel;
}

interface WeightOptions {
  readonly canReadSync: boolean;
  readonly variant: Variant;
}

interface Place {
  readonly weight: Weight;
  readonly address: number;
  readonly nBytes: number;
}

export class PlacedWeights {
  readonly #panels = new Map<string, Place>();
  readonly #vectors = new Map<string, Place>();
  readonly #embeddings = new Map<string, Place | null>();
  /** Weights with one number that is not in the bank: scales of ternary tensors, optional product scales. */
  readonly #scalars = new Map<string, number>();
  readonly #scaleWeights = new Map<string, Weight>();
  #nBytes = 0;
  #reader: WeightReader | null = null;
  #bank: Bank | null = null;

  readonly #variant: Variant;

  constructor(program: Program, layout: BankLayout, { canReadSync, variant }: WeightOptions) {
    this.#variant = variant;
    for (const op of program.ops) {
      switch (op.kind) {
        case "matmul":
          this.#place(this.#panels, op.weight, panelBytes(op.weight, variant), layout);
          if (op.scale !== null) this.#scaleWeights.set(weightKey(op.scale), op.scale);
          break;
        case "rmsNorm":
        case "rmsNormQuantize":
          this.#place(this.#vectors, op.weight, 16 * Math.ceil(op.weight.nCols / 4), layout);
          break;
        case "embed": {
          const nBytes = fileBytes(op.weight);
          // a large table would double a tied matrix: its rows are read from the source, one per token
          if (canReadSync && nBytes > MAX_FLOAT_HEAD_BYTES) this.#embeddings.set(weightKey(op.weight), null);
          else this.#place(this.#embeddings, op.weight, nBytes, layout);
          break;
        }
        default:
      }
    }
  }

  /** Bytes that the weights take in the bank. */
  get nBytes(): number {
    return this.#nBytes;
  }

  /** Four rows of the longest matrix that is made into another format at load. */
  get minStagingBytes(): number {
    const rows = [...this.#panels.values()]
      .filter(({ weight }) => weight.fileFormat !== undefined)
      .map(({ weight }) => fileBytes(weight) / weight.nRows);
    return PANEL_ROWS * Math.max(0, ...rows);
  }

  /** Where a weight is not held as the file has it, in words. */
  get notes(): readonly string[] {
    const notes: string[] = [];
    for (const { weight } of this.#panels.values()) {
      if (weight.fileFormat === undefined) continue;
      notes.push(
        `the output matrix '${weight.name}' (${weight.fileFormat}) is served from a ${weight.format} copy; head f16 keeps it as it is`,
      );
    }
    for (const [key, place] of this.#embeddings) {
      if (place === null) notes.push(`the rows of '${key.slice(0, key.lastIndexOf(":"))}' are read from the file, one per token`);
    }
    return notes;
  }

  /** Lets go of the memory and of the source. */
  release(): void {
    this.#bank = null;
    this.#reader = null;
  }

  /** The numbers that are not in the bank, for helpers: `[weight key, value]`. */
  get scalars(): readonly (readonly [string, number])[] {
    return [...this.#scalars];
  }

  setScalars(scalars: readonly (readonly [string, number])[]): void {
    for (const [key, value] of scalars) this.#scalars.set(key, value);
  }

  panelAddress(weight: Weight): number {
    return this.#panels.get(weightKey(weight))!.address;
  }

  vectorAddress(weight: Weight): number {
    return this.#vectors.get(weightKey(weight))!.address;
  }

  /** The factor of a product: the tensor's own scale (I2_S) times the optional scale beside it, in f32. */
  productScale(weight: Weight, scale: Weight | null): number {
    const own = this.#scalars.get(weightKey(weight)) ?? 1;
    return scale === null ? own : Math.fround(own * this.#scalars.get(weightKey(scale))!);
  }

  /** Row `row` of an embedding as f32. */
  embeddingRow(weight: Weight, row: number, out: Float32Array): void {
    const place = this.#embeddings.get(weightKey(weight));
    const format = quantFormat(weight.format, weight.name);
    if (place === null || place === undefined) {
      format.dequantizeRow(this.#reader!.rowSync(weight, row), 0, out);
      return;
    }
    const data = this.#bank!.bytes(place.address, place.nBytes);
    format.dequantizeRow(
      { nRows: weight.nRows, nCols: weight.nCols, data, scale: this.#scalars.get(weightKey(weight)) ?? 1 },
      row,
      out,
    );
  }

  /** Streams everything into the bank; nothing else may use the staging area meanwhile. */
  async load(program: Program, reader: WeightReader, bank: Bank, staging: Staging, options: LoadOptions): Promise<void> {
    this.#reader = reader;
    this.#bank = bank;
    const offset = (weight: Weight) => reader.fileOffset?.(weight) ?? 0;
    const weights = [...programWeights(program)].sort((a, b) => offset(a) - offset(b));
    // the same rows in two formats are read twice; an embedding whose rows stay in the file is not read at all
    const isRead = (weight: Weight) => this.#embeddings.get(weightKey(weight)) !== null || this.#panels.has(weightKey(weight));
    const total = weights.reduce((sum, weight) => sum + (isRead(weight) ? fileBytes(weight) : 0), 0);
    let loaded = 0;
    for (const weight of weights) {
      if (!isRead(weight)) continue;
      const panelRows = this.#panels.has(weightKey(weight)) ? panelFor(weight, this.#variant).rows : PANEL_ROWS;
      for (const [begin, end] of pieces(
        weight,
        panelRows,
        weight.fileFormat === undefined ? PIECE_BYTES : Math.min(PIECE_BYTES, staging.nBytes),
      )) {
        const matrix = await reader.rows(weight, begin, end, options.signal);
        this.#store(weight, begin, matrix, bank, staging);
        loaded += matrix.data.length;
        options.onProgress?.(loaded, total);
      }
    }
  }

  #store(weight: Weight, firstRow: number, matrix: QuantMatrix, bank: Bank, staging: Staging): void {
    const key = weightKey(weight);
    this.#scalars.set(key, matrix.scale);
    const panels = this.#panels.get(key);
    if (panels !== undefined) {
      const panel = panelFor(weight, this.#variant);
      const bytesPerRow = panels.nBytes / paddedRows(weight.nRows, panel.rows);
      const target = panels.address + firstRow * bytesPerRow;
      if (weight.fileFormat === undefined) {
        const nBytes = paddedRows(matrix.nRows, panel.rows) * bytesPerRow;
        panel.pack(matrix, bank.bytes(target, nBytes));
      } else {
        bank.bytes(staging.address, matrix.data.length).set(matrix.data);
        const nBlocks = matrix.nCols / panel.blockColumns;
        if (staging.requantize(weight).call(staging.address, matrix.nRows, nBlocks, target) === 1) throw notFinite(weight);
      }
    }
    const embedding = this.#embeddings.get(key);
    if (embedding) {
      const rowBytes = embedding.nBytes / weight.nRows;
      bank.bytes(embedding.address + firstRow * rowBytes, matrix.data.length).set(matrix.data);
    }
    const vector = this.#vectors.get(key);
    if (vector !== undefined) dequantize(weight, matrix, bank.f32(vector.address, weight.nCols));
    if (this.#scaleWeights.has(key)) {
      const value = new Float32Array(1);
      dequantize(weight, matrix, value);
      this.#scalars.set(key, value[0]!);
    }
  }

  #place(places: Map<string, Place | null>, weight: Weight, nBytes: number, layout: BankLayout): void {
    const key = weightKey(weight);
    if (places.has(key)) return;
    places.set(key, { weight, address: layout.take(nBytes), nBytes });
    this.#nBytes += nBytes;
  }
}

/** Row ranges of at most `maxBytes`, or of one panel, each a multiple of `panelRows` but for the last. */
function* pieces(weight: Weight, panelRows: number, maxBytes: number): Generator<readonly [number, number]> {
  const rowBytes = fileBytes(weight) / weight.nRows;
  const nRows = Math.max(panelRows, Math.floor(maxBytes / rowBytes / panelRows) * panelRows);
  for (let begin = 0; begin < weight.nRows; begin += nRows) yield [begin, Math.min(weight.nRows, begin + nRows)];
}

function fileBytes(weight: Weight): number {
  return weight.nRows * quantFormat(weight.fileFormat ?? weight.format, `tensor '${weight.name}'`).rowBytes(weight.nCols);
}

function paddedRows(nRows: number, panelRows: number): number {
  return panelRows * Math.ceil(nRows / panelRows);
}

function panelBytes(weight: Weight, variant: Variant): number {
  const { blockElements } = quantFormat(weight.format, `tensor '${weight.name}'`);
  const panel = panelFor(weight, variant);
  if (weight.nCols % blockElements !== 0) throw new Error(`weights: rows of ${weight.nCols} in ${weight.format}`);
  return Math.ceil(weight.nRows / panel.rows) * (weight.nCols / panel.blockColumns) * panel.blockBytes;
}

function dequantize(weight: Weight, matrix: QuantMatrix, out: Float32Array): void {
  const format = quantFormat(weight.fileFormat ?? weight.format, weight.name);
  for (let row = 0; row < matrix.nRows; row++)
    format.dequantizeRow(matrix, row, out.subarray(row * matrix.nCols, (row + 1) * matrix.nCols));
  // x − x is NaN for what is not finite, and NaN stays
  let differences = 0;
  for (let i = 0; i < out.length; i++) differences += out[i]! - out[i]!;
  if (differences !== 0) throw notFinite(weight);
}

function notFinite(weight: Weight): BackendError {
  return new BackendError("weight-not-finite", `wasm: tensor '${weight.name}' holds a value that is not finite`, {
    data: { tensor: weight.name },
  });
}
