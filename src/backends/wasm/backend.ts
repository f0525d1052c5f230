/**
 * The WASM backend: lowers a Program (head copy, rounding, fusion), lays out one bank of memory from it, emits the kernels, streams the
 * weights in and runs steps. Everything is placed before a byte is loaded; nothing grows afterwards.
 *
 * The bank: step header (token entries, page tables, rotary tables) · scratch arena · weights · KV pages.
 */
import { BackendError, UnsupportedError } from "../../errors.ts";
import { fuse } from "../../graph/fuse.ts";
import { lowerActivations } from "../../graph/lower-activations.ts";
import type { Op } from "../../graph/ops.ts";
import { type Program, programWeights, weightKey } from "../../graph/program.ts";
import { planScratch, type ScratchPlan } from "../../graph/scratch-plan.ts";
import { type HeadChoice, serveHead } from "../../graph/serve-head.ts";
import type { Tensor } from "../../graph/tensor.ts";
import { BLOCK32 } from "../../quant/activations.ts";
import { quantFormat } from "../../quant/registry.ts";
import type { Backend, LoadedProgram, LoadOptions, MemoryPlan, Step, WeightReader } from "../backend.ts";
import { SCORE_BYTES } from "./attention.ts";
import { type Binding, bindOp, type Dispatch, type StepView } from "./dispatch.ts";
import { type Kernel, KernelSet } from "./kernels.ts";
import { halfSlotBytes } from "./kv-write.ts";
import { ROW_HEADER } from "./matmul.ts";
import { Bank, BankLayout } from "./memory.ts";
import { emitRequantizeQ8 } from "./requantize.ts";
import { RopeTable, rotaryKey } from "./rope-table.ts";
import { chooseVariant, type Variant } from "./variant.ts";
import { PlacedWeights, type Staging } from "./weights.ts";

export interface WasmOptions {
  /** Default: what the self-test allows. */
  readonly variant?: Variant | undefined;
  readonly head?: HeadChoice | undefined;
}

/** Spans of one step: the sequences that may share a pass over the weights. */
const MAX_SPANS = 16;
const TOKEN_ENTRY_BYTES = 8;

export function wasmBackend(wasm: WasmOptions = {}): Backend {
  return {
    name: "wasm",
    plan: (program, options, canReadSync) => layOut(program, options, wasm, canReadSync).plan,
    async load(program, weights, options) {
      const layout = layOut(program, options, wasm, weights.canReadSync);
      const bank = new Bank(layout.bank);
      const loaded = new WasmProgram(layout, bank, wasm);
      await layout.weights.load(layout.program, weights, bank, loaded.staging, options);
      return loaded;
    },
  };
}

/** Where everything lies. */
interface Layout {
  readonly program: Program;
  readonly bank: BankLayout;
  readonly plan: MemoryPlan;
  readonly weights: PlacedWeights;
  readonly scratch: ScratchPlan;
  readonly scratchAddress: number;
  readonly tokensAddress: number;
  readonly pageTablesAddress: number;
  readonly scoresAddress: number;
  readonly ropeTables: ReadonlyMap<string, { readonly address: number; readonly table: RopeTable }>;
  readonly kvAddress: number;
  readonly pageBytes: number;
  readonly slotOffsets: readonly number[];
  readonly options: LoadOptions;
}

function layOut(recorded: Program, options: LoadOptions, wasm: WasmOptions, canReadSync: boolean): Layout {
  assertShapes(recorded);
  const keep = options.keep ?? [];
  const program = fuse(lowerActivations(serveHead(recorded, wasm.head ?? "auto")), keep);
  const bank = new BankLayout();
  const begin = bank.nBytes;
  const tokensAddress = bank.take(TOKEN_ENTRY_BYTES * options.maxTokens);
  const pageTablesAddress = bank.take(4 * options.nPages * MAX_SPANS);
  const scoresAddress = bank.take(SCORE_BYTES);
  const ropeTables = new Map<string, { address: number; table: RopeTable }>();
  for (const op of program.ops) {
    if (op.kind !== "rope" || ropeTables.has(rotaryKey(op.rotary))) continue;
    const table = new RopeTable(op.rotary);
    ropeTables.set(rotaryKey(op.rotary), { address: bank.take(4 * table.rowLength * options.maxTokens), table });
  }
  const maxRows = (tensor: Tensor) => (tensor.rows === "nTokens" ? options.maxTokens : options.maxOutputs);
  const scratch = planScratch(program, { tensorBytes: (tensor) => maxRows(tensor) * rowStride(tensor), alignment: 64, keep });
  const scratchAddress = bank.take(scratch.nBytes);
  const scratchBytes = bank.nBytes - begin;

  const weights = new PlacedWeights(program, bank, canReadSync);
  const slotOffsets: number[] = [];
  let pageBytes = 0;
  for (const kv of program.kvLayers) {
    slotOffsets.push(pageBytes);
    pageBytes += 2 * halfSlotBytes(kv);
  }
  const kvBytes = options.nPages * pageBytes;
  // also the staging area of the load, for four rows at the least
  const kvAddress = bank.take(Math.max(kvBytes, weights.minStagingBytes));
  const plan = { weightsBytes: weights.nBytes, kvBytes, scratchBytes, notes: weights.notes };
  return {
    program,
    bank,
    plan,
    weights,
    scratch,
    scratchAddress,
    tokensAddress,
    pageTablesAddress,
    scoresAddress,
    ropeTables,
    kvAddress,
    pageBytes,
    slotOffsets,
    options,
  };
}

/** Bytes from row to row: whole vectors, so that no kernel has a tail. */
function rowStride(tensor: Tensor): number {
  switch (tensor.layout) {
    case "f32":
      return 16 * Math.ceil(tensor.nCols / 4);
    case "int8-row":
      return ROW_HEADER + 16 * Math.ceil(tensor.nCols / 16);
    case "int8-block32":
      return 16 * Math.ceil((tensor.nCols + (4 * tensor.nCols) / BLOCK32) / 16);
    default:
      throw new Error(tensor.layout satisfies never);
  }
}

/** Heads must be whole vectors; no published model has others. */
function assertShapes(program: Program): void {
  for (const kv of program.kvLayers) {
    if (kv.headDim % 4 === 0) continue;
    throw new UnsupportedError("head-dim", `wasm: heads of ${kv.headDim} values; must be a multiple of 4`, {
      data: { what: "head dimension", found: kv.headDim, supported: "multiples of 4" },
    });
  }
}

class WasmProgram implements LoadedProgram {
  readonly description: string;
  readonly #layout: Layout;
  #bank: Bank | null;
  readonly #dispatches: readonly Dispatch[];
  /** For loading weights, before the first step. */
  readonly staging: Staging;

  constructor(layout: Layout, bank: Bank, wasm: WasmOptions) {
    const { variant, reason } = chooseVariant(wasm.variant);
    this.description = `wasm: ${variant} SIMD (${reason}), one thread`;
    this.#layout = layout;
    this.#bank = bank;
    const kernels = new KernelSet(variant, layout.bank.nWasmPages, false);
    const binding: Binding = {
      kernels,
      weights: layout.weights,
      address: (tensor) => this.#address(tensor),
      stride: rowStride,
      f32: (address, n) => bank.f32(address, n),
      copy: (from, to, nBytes) => bank.copy(from, to, nBytes),
      tokensAddress: layout.tokensAddress,
      scoresAddress: layout.scoresAddress,
      slotOffset: (index) => layout.slotOffsets[index]!,
      ropeTableAddress: (op: Extract<Op, { kind: "rope" }>) => layout.ropeTables.get(rotaryKey(op.rotary))!.address,
    };
    this.#dispatches = layout.program.ops.map((op) => bindOp(op, binding));
    this.staging = stagingArea(layout, kernels);
    kernels.instantiate(bank.memory);
  }

  run(step: Step): Float32Array {
    this.#writeHeader(step);
    const view: StepView = {
      nTokens: step.tokens.length,
      nOutputs: step.outputs.length,
      outputs: step.outputs,
      tokens: step.tokens,
    };
    for (const dispatch of this.#dispatches) {
      const nItems = dispatch.nItems(view);
      if (nItems > 0) dispatch.run(0, nItems, view);
    }
    return this.#rows(this.#layout.program.logits, view.nOutputs);
  }

  copyPage(from: number, to: number): void {
    const { kvAddress, pageBytes } = this.#layout;
    this.#live().copy(kvAddress + from * pageBytes, kvAddress + to * pageBytes, pageBytes);
  }

  read(label: string): Float32Array {
    const tensor = this.#layout.program.labels.get(label);
    if (tensor === undefined || !this.#layout.options.keep?.includes(label)) throw new Error(`wasm: '${label}' was not kept`);
    const { maxTokens, maxOutputs } = this.#layout.options;
    return this.#rows(tensor, tensor.rows === "nTokens" ? maxTokens : maxOutputs);
  }

  /** Drops the memory; the next garbage collection returns it. */
  dispose(): void {
    this.#bank = null;
  }

  #live(): Bank {
    if (this.#bank === null) throw new BackendError("disposed", "wasm: the model was disposed of");
    return this.#bank;
  }

  #address(tensor: Tensor): number {
    return this.#layout.scratchAddress + this.#layout.scratch.offsets.get(tensor.id)!;
  }

  /** [nRows, nCols] without the padding; a view where there is none. */
  #rows(tensor: Tensor, nRows: number): Float32Array {
    const stride = rowStride(tensor) / 4;
    const flat = this.#live().f32(this.#address(tensor), nRows * stride);
    if (stride === tensor.nCols || nRows <= 1) return flat.subarray(0, nRows * tensor.nCols);
    const rows = new Float32Array(nRows * tensor.nCols);
    for (let row = 0; row < nRows; row++) rows.set(flat.subarray(row * stride, row * stride + tensor.nCols), row * tensor.nCols);
    return rows;
  }

  /** Token entries, page tables and rotary tables of the step. */
  #writeHeader(step: Step): void {
    const { options, tokensAddress, pageTablesAddress, kvAddress, pageBytes, ropeTables } = this.#layout;
    const bank = this.#live();
    if (step.tokens.length > options.maxTokens || step.outputs.length > options.maxOutputs || step.spans.length > MAX_SPANS) {
      throw new Error(`wasm: a step of ${step.tokens.length} tokens and ${step.outputs.length} outputs exceeds the plan`);
    }
    const entries = bank.i32(tokensAddress, 2 * step.tokens.length);
    let token = 0;
    let table = pageTablesAddress;
    for (const span of step.spans) {
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
    if (token !== step.tokens.length || table > pageTablesAddress + 4 * options.nPages * MAX_SPANS) {
      throw new Error("wasm: the spans of a step do not add up");
    }
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
