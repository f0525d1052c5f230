/**
 * The tensors of a file, handed out by name and shape. What a family does not take must be listed as ignorable, or the load fails:
 * an engine that skips a tensor prints fluent nonsense.
 */
import { GgufError, UnsupportedError } from "../errors.ts";
import type { GgufTensor } from "../gguf/metadata.ts";
import type { Weight } from "../graph/tensor.ts";

export class Weights {
  readonly #tensors: ReadonlyMap<string, GgufTensor>;
  readonly #taken = new Set<string>();

  constructor(tensors: readonly GgufTensor[]) {
    this.#tensors = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** y[nRows] = W · x[nCols]; in the file's order the shape is [nCols, nRows]. */
  matrix(name: string, nCols: number, nRows: number): Weight {
    return this.#take(name, [nCols, nRows]);
  }

  vector(name: string, n: number): Weight {
    return this.#take(name, [n]);
  }

  /** A one-element tensor that newer ternary files put beside a matrix; null where the file has none. */
  optionalScale(name: string): Weight | null {
    return this.has(name) ? this.#take(name, [1]) : null;
  }

  /** Number of rows of a matrix that has not been taken yet, e.g. the vocabulary's size. */
  nRows(name: string): number {
    return this.#find(name).shape[1] ?? 1;
  }

  /** @throws UnsupportedError `tensor-unused` that names the first tensor nobody took. */
  assertAllTaken(architecture: string, ignorable: readonly RegExp[]): void {
    const left = [...this.#tensors.keys()].filter(
      (name) => !this.#taken.has(name) && !ignorable.some((pattern) => pattern.test(name)),
    );
    if (left.length === 0) return;
    throw new UnsupportedError(
      "tensor-unused",
      `model: ${left.length} tensor(s) of the file are unknown to architecture '${architecture}': ${left.slice(0, 4).join(", ")}`,
      {
        data: { what: "tensor", found: left.slice(0, 16), architecture },
        hint: "Ignoring a tensor gives wrong text; the file needs a newer engine.",
      },
    );
  }

  #find(name: string): GgufTensor {
    const tensor = this.#tensors.get(name);
    if (tensor !== undefined) return tensor;
    throw new GgufError("tensor-missing", `model: tensor '${name}' is missing from the file`, 0, { data: { tensor: name } });
  }

  #take(name: string, shape: readonly number[]): Weight {
    const tensor = this.#find(name);
    const got = [...tensor.shape];
    while (got.length > shape.length && got.at(-1) === 1) got.pop();
    if (got.length !== shape.length || got.some((n, i) => n !== shape[i])) {
      throw new GgufError(
        "tensor-shape",
        `model: tensor '${name}' at byte ${tensor.byteOffset} has shape [${tensor.shape.join(", ")}]; must be [${shape.join(", ")}]`,
        tensor.byteOffset,
        { data: { tensor: name, got: tensor.shape, expected: shape } },
      );
    }
    this.#taken.add(name);
    return { name, format: tensor.format, nCols: shape[0]!, nRows: shape[1] ?? 1 };
  }
}
