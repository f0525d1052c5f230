/**
 * Where everything lies in the bank, from the Program and the options alone: a coordinator and its helpers compute the same layout each
 * for itself. Everything is placed before a byte is loaded; nothing grows afterwards.
 *
 * The bank: control block · step header (token entries, page tables, outputs, rotary tables, scores) · scratch (split tensors; tensors of
 * a prefill; one small arena per thread for decode) · weights · KV pages.
 */
import { UnsupportedError } from "../../errors.ts";
import { fuse } from "../../graph/fuse.ts";
import { lowerActivations } from "../../graph/lower-activations.ts";
import { opOutput } from "../../graph/ops.ts";
import type { Program } from "../../graph/program.ts";
import { planScratch, type ScratchPlan } from "../../graph/scratch-plan.ts";
import { type HeadChoice, serveHead } from "../../graph/serve-head.ts";
import type { Tensor } from "../../graph/tensor.ts";
import type { MemoryPlan } from "../backend.ts";
import { scoreBytes } from "./attention.ts";
import { halfSlotBytes } from "./kv-write.ts";
import { gemmScratchBytes } from "./matmul-ternary.ts";
import { BankLayout } from "./memory.ts";
import { RopeTable, rotaryKey } from "./rope-table.ts";
import { rowBytes, rowForm } from "./row-form.ts";
import { decodeStages, orderByStage, prefillStages, type Stages, shareOf, stageOf } from "./schedule.ts";
import { controlBytes } from "./sync.ts";
import { panelFor, type Variant } from "./variant.ts";
import { PlacedWeights } from "./weights.ts";

/** Spans of one step: the sequences that may share a pass over the weights. */
export const MAX_SPANS = 16;
/** {i32 position, i32 page table} */
export const TOKEN_ENTRY_BYTES = 8;

/** What decides a layout; plain data that crosses to helpers. */
export interface LayoutInput {
  /** The recorded Program. */
  readonly program: Program;
  readonly nPages: number;
  readonly maxTokens: number;
  readonly maxOutputs: number;
  readonly maxThreads: number;
  readonly keep: readonly string[];
  readonly head: HeadChoice;
  readonly canReadSync: boolean;
  readonly variant: Variant;
}

export interface Layout {
  readonly input: LayoutInput;
  /** The lowered Program. */
  readonly program: Program;
  readonly bank: BankLayout;
  readonly plan: MemoryPlan;
  readonly weights: PlacedWeights;
  readonly decode: Stages;
  readonly prefill: Stages;
  readonly controlAddress: number;
  readonly tokensAddress: number;
  readonly pageTablesAddress: number;
  readonly outputsAddress: number;
  readonly ropeTables: ReadonlyMap<string, { readonly address: number; readonly table: RopeTable }>;
  readonly kvAddress: number;
  readonly pageBytes: number;
  readonly slotOffsets: readonly number[];
  /** Address of a tensor in a step of one row, as `thread` sees it. */
  decodeAddress(tensor: Tensor, thread: number): number;
  /** Address of a tensor in a step of many rows. */
  prefillAddress(tensor: Tensor): number;
  /** Scratch of the attention kernel, and of a matmul. */
  scoresAddress(thread: number): number;
  matmulAddress(thread: number): number;
}

/** @throws UnsupportedError `head-dim` for heads that are not whole vectors; GgufError where a format cannot hold a matrix. */
export function layOut(input: LayoutInput): Layout {
  const { maxTokens, maxOutputs, maxThreads, keep } = input;
  assertHeads(input.program);
  const program = orderByStage(fuse(lowerActivations(serveHead(input.program, input.head)), keep));
  const bank = new BankLayout();
  const begin = bank.nBytes;
  const controlAddress = bank.take(controlBytes(program.ops.length));
  const tokensAddress = bank.take(TOKEN_ENTRY_BYTES * maxTokens);
  const pageTablesAddress = bank.take(4 * input.nPages * MAX_SPANS);
  const outputsAddress = bank.take(4 * maxOutputs);
  const scoresPerThread = Math.max(0, ...program.ops.map((op) => (op.kind === "attention" ? scoreBytes(op) : 0)));
  const scores = bank.take(scoresPerThread * maxThreads);
  const tileBytes = matmulScratchBytes(program, input.variant);
  const tiles = bank.take(tileBytes * maxThreads);
  const ropeTables = new Map<string, { address: number; table: RopeTable }>();
  for (const op of program.ops) {
    if (op.kind !== "rope" || ropeTables.has(rotaryKey(op.rotary))) continue;
    const table = new RopeTable(op.rotary);
    ropeTables.set(rotaryKey(op.rotary), { address: bank.take(4 * table.rowLength * maxTokens), table });
  }

  const decode = decodeStages(program);
  const prefill = prefillStages(program);
  const scratch = planArenas(program, decode, prefill, input);
  const splitAddress = bank.take(scratch.split.nBytes);
  const prefillAddress = bank.take(scratch.prefill.nBytes);
  const decodeBytes = 64 * Math.ceil(scratch.decode.nBytes / 64);
  const decodeAddress = bank.take(decodeBytes * maxThreads);
  const scratchBytes = bank.nBytes - begin;

  const weights = new PlacedWeights(program, bank, input);
  const slotOffsets: number[] = [];
  let pageBytes = 0;
  for (const kv of program.kvLayers) {
    slotOffsets.push(pageBytes);
    pageBytes += 2 * halfSlotBytes(kv);
  }
  const kvBytes = input.nPages * pageBytes;
  // also the staging area of the load, for four rows at the least
  const kvAddress = bank.take(Math.max(kvBytes, weights.minStagingBytes));
  const place = (tensor: Tensor, own: ScratchPlan, address: number) =>
    scratch.split.offsets.has(tensor.id)
      ? splitAddress + scratch.split.offsets.get(tensor.id)!
      : address + own.offsets.get(tensor.id)!;
  return {
    input,
    program,
    bank,
    plan: { weightsBytes: weights.nBytes, kvBytes, scratchBytes, notes: weights.notes },
    weights,
    decode,
    prefill,
    controlAddress,
    tokensAddress,
    pageTablesAddress,
    outputsAddress,
    ropeTables,
    kvAddress,
    pageBytes,
    slotOffsets,
    decodeAddress: (tensor, thread) => place(tensor, scratch.decode, decodeAddress + thread * decodeBytes),
    prefillAddress: (tensor) => place(tensor, scratch.prefill, prefillAddress),
    scoresAddress: (thread) => scores + thread * scoresPerThread,
    matmulAddress: (thread) => tiles + thread * tileBytes,
  };
}

/**
 * Three arenas. `split`: what `split` ops write, one place for both kinds of step; a place is free again where both have passed a
 * barrier. `prefill`: everything else in a step of many rows. `decode`: everything else in a step of one row, per thread.
 */
function planArenas(program: Program, decode: Stages, prefill: Stages, input: LayoutInput) {
  const splitIds = new Set(program.ops.filter((op) => shareOf(op) === "split").map((op) => opOutput(op)!.id));
  const isSplit = (tensor: Tensor) => splitIds.has(tensor.id);
  const [decodeStage, prefillStage] = [stageOf(decode), stageOf(prefill)];
  const common = new Uint32Array(program.ops.length);
  for (let i = 1; i < common.length; i++) {
    const isBarrier = decodeStage[i] !== decodeStage[i - 1] && prefillStage[i] !== prefillStage[i - 1];
    common[i] = common[i - 1]! + (isBarrier ? 1 : 0);
  }
  const rows = (tensor: Tensor) => (tensor.rows === "nTokens" ? input.maxTokens : input.maxOutputs);
  const base = { alignment: 64, keep: input.keep };
  return {
    split: planScratch(program, {
      ...base,
      includes: isSplit,
      tensorBytes: (t) => rows(t) * rowStride(t, input.variant, false),
      timeOf: (i) => common[i]!,
    }),
    prefill: planScratch(program, {
      ...base,
      includes: (tensor) => !isSplit(tensor),
      tensorBytes: (t) => rows(t) * rowStride(t, input.variant, false),
      timeOf: (i) => prefillStage[i]!,
    }),
    decode: planScratch(program, {
      ...base,
      includes: (tensor) => !isSplit(tensor),
      tensorBytes: (t) => rowStride(t, input.variant, true),
    }),
  };
}

/** Bytes from row to row in a step of one row, or of many. */
export function rowStride(tensor: Tensor, variant: Variant, isDecode: boolean): number {
  return rowBytes(rowForm(tensor.layout, variant, isDecode), tensor.nCols);
}

/** What one thread needs beside the tensors for the longest rows of a matrix. */
function matmulScratchBytes(program: Program, variant: Variant): number {
  const needs = program.ops.map((op) => {
    const panel = op.kind === "matmul" ? panelFor(op.weight, variant) : null;
    return op.kind === "matmul" && panel?.kind === "ternary" ? gemmScratchBytes(panel, op.weight.nCols) : 0;
  });
  return 64 * Math.ceil(Math.max(0, ...needs) / 64);
}

/** Heads must be whole vectors; no published model has others. */
function assertHeads(program: Program): void {
  for (const kv of program.kvLayers) {
    if (kv.headDim % 4 === 0) continue;
    throw new UnsupportedError("head-dim", `wasm: heads of ${kv.headDim} values; must be a multiple of 4`, {
      data: { what: "head dimension", found: kv.headDim, supported: "multiples of 4" },
    });
  }
}
