/** Every row of every table: the emitted opcode must validate with the row's type, and WABT must read the row's mnemonic. */
import { describe, expect, test } from "vitest";
import wabt from "wabt";
import { FAMILIES, type FuncBuilder, type Local } from "./func-builder.ts";
import { type InstructionRow, type InstructionTable, isRow } from "./methods.ts";
import { ModuleBuilder } from "./module-builder.ts";
import type { ValType } from "./types.ts";

interface Case {
  readonly mnemonic: string;
  readonly path: readonly string[];
  readonly row: InstructionRow;
}

function casesOf(table: InstructionTable, path: readonly string[]): Case[] {
  return Object.entries(table).flatMap(([name, entry]) => {
    const at = [...path, name];
    return isRow(entry) ? [{ mnemonic: at.join("."), path: at, row: entry }] : casesOf(entry, at);
  });
}

const cases = Object.entries(FAMILIES).flatMap(([family, table]) => casesOf(table, [family]));

/** Immediates that are valid for the row, and how the text format prints them. */
function sampleImmediates(kind: string | undefined): { args: unknown[]; text: string } {
  if (kind === undefined || kind.startsWith("zero")) return { args: [], text: "" };
  const nLanes = Number(/lane(\d+)/.exec(kind)?.[1] ?? 0);
  if (kind.startsWith("mem") && nLanes > 0) return { args: [nLanes - 1, { offset: 5 }], text: `offset=5 ${nLanes - 1}` };
  if (kind.startsWith("mem") || kind.startsWith("atomic")) return { args: [{ offset: 5 }], text: "offset=5" };
  if (nLanes > 0) return { args: [nLanes - 1], text: String(nLanes - 1) };
  if (kind === "lanes")
    return { args: [[...Array(16).keys()].map((i) => 31 - i)], text: "31 30 29 28 27 26 25 24 23 22 21 20 19 18 17 16" };
  if (kind === "v128") return { args: ["i32x4", [1, 2, 3, 4]], text: "i32x4 0x00000001 0x00000002 0x00000003 0x00000004" };
  return kind === "i64" ? { args: [-7n], text: "-7" } : { args: [-7], text: kind.startsWith("f") ? "-0x1.cp+2 (;=-7;)" : "-7" };
}

/** A module with one function: parameters = operands of the row, body = the instruction, result = its result. */
function moduleOf({ path, row }: Case): Uint8Array<ArrayBuffer> {
  const [operands = "", result = ""] = row[1].split("->").map((side) => side.trim());
  const m = new ModuleBuilder();
  m.memory({ initial: 1, maximum: 1, shared: true });
  const params = operands.split(" ").filter((type) => type !== "") as ValType[];
  m.func("only", { params, results: result === "" ? [] : [result as ValType] }, ((f: FuncBuilder, ...locals: Local[]) => {
    let at: unknown = f;
    for (const part of path.slice(0, -1)) at = (at as Record<string, unknown>)[part];
    const methods = at as Record<string, (...args: unknown[]) => undefined>;
    return methods[path[path.length - 1] as string]?.(...locals.map((local) => local.get()), ...sampleImmediates(row[2]).args);
  }) as never);
  return m.build();
}

test("opcodes are unique and counted", () => {
  expect(new Set(cases.map(({ row }) => row[0])).size).toBe(cases.length);
  const inPrefix = (from: number, to: number) => cases.filter(({ row }) => row[0] >= from && row[0] <= to).length;
  expect(inPrefix(0x28, 0xc4)).toBe(0xc4 - 0x28 + 1); // the one-byte range has no holes
  expect(inPrefix(0xfc_0000, 0xfc_ffff)).toBe(8 + 2);
  expect(inPrefix(0xfd_0000, 0xfd_00ff)).toBe(236);
  expect(inPrefix(0xfd_0100, 0xfd_ffff)).toBe(20);
  expect(inPrefix(0xfe_0000, 0xfe_ffff)).toBe(4 + 14 + 7 * 7);
});

const hasRelaxedSimd = WebAssembly.validate(moduleOf(cases.find(({ mnemonic }) => mnemonic === "f32x4.relaxed_madd") as Case));

/** What is wrong with the module of one row; empty when nothing is. */
function problemsOf(one: Case, readWasm: Awaited<ReturnType<typeof wabt>>["readWasm"]): string[] {
  const bytes = moduleOf(one);
  const isKnown = hasRelaxedSimd || !one.mnemonic.includes("relaxed_");
  const problems = isKnown && !WebAssembly.validate(bytes) ? [`${one.mnemonic} does not validate`] : [];
  const module = readWasm(bytes, { simd: true, relaxed_simd: true, threads: true, bulk_memory: true });
  const text = module.toText({});
  module.destroy();
  const expected = `${one.mnemonic} ${sampleImmediates(one.row[2]).text}`.trim();
  const isPrinted = text.split("\n").some((line) => line.trim() === expected || line.trim() === `${expected})`);
  return isPrinted ? problems : [...problems, `${one.mnemonic} reads as ${text}`];
}

describe("every instruction validates and disassembles to its mnemonic and immediates", async () => {
  const { readWasm } = await wabt();
  test.each(Object.keys(FAMILIES))("%s", (family) => {
    const rows = cases.filter(({ path }) => path[0] === family);
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.flatMap((one) => problemsOf(one, readWasm))).toEqual([]);
  });
});
