/**
 * The WASM backend: lays out one bank of memory from a Program, emits the kernels, streams the weights in and runs steps, on one thread
 * or on several in lock-step. Here is what happens once per step; where things lie is layout.ts, what threads do is lockstep.ts.
 */
import { BackendError } from "../../errors.ts";
import { type Program, programWeights, weightKey } from "../../graph/program.ts";
import type { HeadChoice } from "../../graph/serve-head.ts";
import type { Tensor } from "../../graph/tensor.ts";
import { quantFormat } from "../../quant/registry.ts";
import type { Backend, LoadedProgram, LoadOptions, Step, WeightReader } from "../backend.ts";
import { chooseVariant } from "./choose-variant.ts";
import type { StepView } from "./dispatch.ts";
import type { Kernel, KernelSet } from "./kernels.ts";
import { type Layout, type LayoutInput, layOut, MAX_SPANS, rowStride } from "./layout.ts";
import { Lockstep } from "./lockstep.ts";
import { Bank } from "./memory.ts";
import { emitRequantizeQ8 } from "./requantize.ts";
import { COMMAND, CONTROL } from "./sync.ts";
import { chooseThreads, maxThreads, ThreadPool } from "./threads.ts";
import type { Variant } from "./variant.ts";
import type { Staging } from "./weights.ts";

export interface WasmOptions {
  /** Default: the fastest of those that compute right here. */
  readonly variant?: Variant | undefined;
  readonly head?: HeadChoice | undefined;
}

export function wasmBackend(wasm: WasmOptions = {}): Backend {
  const inputFor = (program: Program, options: LoadOptions, canReadSync: boolean): LayoutInput => ({
    program,
    nPages: options.nPages,
    maxTokens: options.maxTokens,
    maxOutputs: options.maxOutputs,
    maxThreads: maxThreads(options.threads),
    keep: options.keep ?? [],
    head: wasm.head ?? "auto",
    canReadSync,
    variant: chooseVariant(wasm.variant).variant,
  });
  return {
    name: "wasm",
    plan: (program, options, canReadSync) => layOut(inputFor(program, options, canReadSync)).plan,
    async load(program, weights, options) {
      const layout = layOut(inputFor(program, options, weights.canReadSync));
      const loaded = new WasmProgram(layout, chooseVariant(wasm.variant).reason);
      try {
        await loaded.loadWeights(weights, options);
        await loaded.startThreads(options);
        return loaded;
      } catch (error) {
        loaded.dispose();
        throw error;
      }
    },
  };
}

class WasmProgram implements LoadedProgram {
  readonly #layout: Layout;
  readonly #variantReason: string;
  readonly #module: WebAssembly.Module;
  /** What holds the memory; null once disposed of. */
  #live: { readonly bank: Bank; readonly lockstep: Lockstep; readonly staging: Staging } | null;
  #pool: ThreadPool | null = null;
  #threadsReason = "one thread";
  /** The latest step: where its tensors are and how many rows they have. */
  #latest = { isDecode: false, nTokens: 0, nOutputs: 0 };

  constructor(layout: Layout, variantReason: string) {
    this.#layout = layout;
    this.#variantReason = variantReason;
    const bank = Bank.allocate(layout.bank, layout.input.maxThreads > 1);
    const lockstep = new Lockstep(layout, () => this.bank, 0);
    const staging = stagingArea(layout, lockstep.kernels);
    this.#module = lockstep.kernels.compile();
    lockstep.instantiate(bank, this.#module);
    this.#live = { bank, lockstep, staging };
  }

  get bank(): Bank {
    return this.#parts.bank;
  }

  get #parts() {
    if (this.#live === null) throw new BackendError("disposed", "wasm: the model was disposed of");
    return this.#live;
  }

  get threads(): number {
    return this.#pool?.nActive ?? 1;
  }

  get threadsReason(): string {
    return this.#threadsReason;
  }

  get description(): string {
    const threads = this.threads === 1 ? "one thread" : `${this.threads} threads`;
    return `wasm: ${this.#layout.input.variant} SIMD (${this.#variantReason}), ${threads}`;
  }

  async loadWeights(reader: WeightReader, options: LoadOptions): Promise<void> {
    const { bank, staging } = this.#parts;
    await this.#layout.weights.load(this.#layout.program, reader, bank, staging, options);
  }

  /** Starts what helpers were asked for, or finds how many pay. The weights must be in place. */
  async startThreads({ threads }: LoadOptions): Promise<void> {
    if (threads === undefined) return;
    const { input, weights } = this.#layout;
    if (input.maxThreads === 1) {
      this.#threadsReason = threads.unavailable ?? (threads.wanted === 1 ? "asked for" : "the platform has one core");
      return;
    }
    const pool = new ThreadPool(() => threads.spawn(), this.#parts.lockstep.control);
    this.#pool = pool;
    // a helper places no embedding tables of its own and reads no source: what it needs is in the bank and in the scalars
    const start = { input, memory: this.bank.memory, module: this.#module, scalars: weights.scalars };
    if (threads.wanted === "auto") {
      this.#threadsReason = await chooseThreads(pool, input.maxThreads, start, () => this.#timeStep());
    } else {
      await pool.use(threads.wanted, start);
      this.#threadsReason = "asked for";
    }
  }

  run(step: Step): Float32Array {
    const { input, program, outputsAddress } = this.#layout;
    const isDecode = step.tokens.length === 1;
    this.#latest = { isDecode, nTokens: step.tokens.length, nOutputs: step.outputs.length };
    this.#writeHeader(step);
    this.#embed(step, isDecode);
    const outputs = this.bank.i32(outputsAddress, input.maxOutputs);
    outputs.set(Array.from(step.outputs));
    const view: StepView = { nTokens: step.tokens.length, nOutputs: step.outputs.length, outputs };
    const nThreads = this.threads;
    if (nThreads > 1) this.#pool!.release(isDecode ? COMMAND.decode : COMMAND.prefill, view.nTokens, view.nOutputs);
    if (!this.#parts.lockstep.run(isDecode ? "decode" : "prefill", view, nThreads))
      throw this.#pool!.fail(new Error("no answer at a barrier"));
    const { control } = this.#parts.lockstep;
    if (control[CONTROL.fault] !== 0) {
      control[CONTROL.fault] = 0;
      throw new BackendError(
        "activations-not-finite",
        "wasm: a key or value is not finite or too large for f16; the model's weights are damaged",
      );
    }
    return this.#rows(program.logits, view.nOutputs);
  }

  copyPage(from: number, to: number): void {
    const { kvAddress, pageBytes } = this.#layout;
    this.bank.copy(kvAddress + from * pageBytes, kvAddress + to * pageBytes, pageBytes);
  }

  read(label: string): Float32Array {
    const { program, input } = this.#layout;
    const tensor = program.labels.get(label);
    if (tensor === undefined || !input.keep.includes(label)) throw new Error(`wasm: '${label}' was not kept`);
    return this.#rows(tensor, this.#latest[tensor.rows]);
  }

  /** Ends the helpers and drops the memory; the next garbage collection returns it. */
  dispose(): void {
    this.#pool?.dispose();
    this.#pool = null;
    this.#live = null;
    this.#layout.weights.release();
  }

  /** Milliseconds of one decode step at position 0 of page 0, which no sequence has yet. */
  #timeStep(): number {
    const begin = performance.now();
    this.run({ tokens: [0], spans: [{ nTokens: 1, position: 0, pages: [0] }], outputs: [0] });
    return performance.now() - begin;
  }

  /** The input rows, in the place of every thread that has one of its own. */
  #embed(step: Step, isDecode: boolean): void {
    const { program, weights } = this.#layout;
    for (const op of program.ops) {
      if (op.kind !== "embed") continue;
      const stride = rowStride(op.out, this.#layout.input.variant, isDecode);
      const nPlaces = isDecode ? this.threads : 1;
      const places = Array.from({ length: nPlaces }, (_, thread) => this.#address(op.out, thread));
      for (let i = 0; i < step.tokens.length; i++) {
        const row = this.bank.f32(places[0]! + i * stride, stride / 4);
        weights.embeddingRow(op.weight, step.tokens[i]!, row);
        row.fill(0, op.out.nCols);
        for (const place of places.slice(1)) this.bank.copy(places[0]!, place, stride);
      }
    }
  }

  #address(tensor: Tensor, thread = 0): number {
    return this.#latest.isDecode ? this.#layout.decodeAddress(tensor, thread) : this.#layout.prefillAddress(tensor);
  }

  /** [nRows, nCols] without the padding; a view where there is none. */
  #rows(tensor: Tensor, nRows: number): Float32Array {
    const stride = rowStride(tensor, this.#layout.input.variant, this.#latest.isDecode) / 4;
    const flat = this.bank.f32(this.#address(tensor), nRows * stride);
    if (stride === tensor.nCols || nRows <= 1) return flat.subarray(0, nRows * tensor.nCols);
    const rows = new Float32Array(nRows * tensor.nCols);
    for (let row = 0; row < nRows; row++) rows.set(flat.subarray(row * stride, row * stride + tensor.nCols), row * tensor.nCols);
    return rows;
  }

  /** Token entries, page tables and rotary tables of the step. */
  #writeHeader(step: Step): void {
    const { input, tokensAddress, pageTablesAddress, kvAddress, pageBytes, ropeTables } = this.#layout;
    const { bank } = this;
    if (step.tokens.length > input.maxTokens || step.outputs.length > input.maxOutputs || step.spans.length > MAX_SPANS) {
      throw new Error(`wasm: a step of ${step.tokens.length} tokens and ${step.outputs.length} outputs exceeds the plan`);
    }
    const entries = bank.i32(tokensAddress, 2 * step.tokens.length);
    let token = 0;
    let table = pageTablesAddress;
    for (const span of step.spans) {
      if (table + 4 * span.pages.length > pageTablesAddress + 4 * input.nPages * MAX_SPANS)
        throw new Error("wasm: too many pages in a step");
      const pages = new Uint32Array(bank.memory.buffer, table, span.pages.length);
      for (let i = 0; i < span.pages.length; i++) pages[i] = kvAddress + span.pages[i]! * pageBytes;
      for (let i = 0; i < span.nTokens; i++, token++) {
        const position = span.position + i;
        entries[2 * token] = position;
        entries[2 * token + 1] = table;
        for (const { address, table: rope } of ropeTables.values()) {
          bank.f32(address + 4 * rope.rowLength * token, rope.rowLength).set(rope.row(position));
        }
      }
      table += 4 * span.pages.length;
    }
    if (token !== step.tokens.length) throw new Error("wasm: the spans of a step do not add up");
  }
}

/** The KV range as a place for raw rows, with a kernel for each weight that is computed in another format than the file's. */
function stagingArea(layout: Layout, kernels: KernelSet): Staging {
  const requantizers = new Map<string, Kernel>();
  for (const weight of programWeights(layout.program)) {
    if (weight.fileFormat === undefined) continue;
    const from = quantFormat(weight.fileFormat, weight.name).panel;
    const to = quantFormat(weight.format, weight.name).panel;
    if (from.kind !== "float" || to.kind !== "int")
      throw new Error(`wasm: no kernel makes ${weight.format} of ${weight.fileFormat}`);
    const key = `requantize.${weight.fileFormat}.${weight.format}`;
    requantizers.set(
      weightKey(weight),
      kernels.kernel(key, (m, name) => emitRequantizeQ8(m, name, from, to)),
    );
  }
  return { address: layout.kvAddress, nBytes: layout.plan.kvBytes, requantize: (weight) => requantizers.get(weightKey(weight))! };
}
