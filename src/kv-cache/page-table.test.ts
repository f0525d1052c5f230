import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PagePool } from "./page-pool.ts";
import { PageTable } from "./page-table.ts";

/** A store of what each position of each page holds, in place of a backend. */
function fakeStore() {
  const pages = new Map<number, number[]>();
  return {
    copyPage: (from: number, to: number) => pages.set(to, [...(pages.get(from) ?? [])]),
    write(table: PageTable, value: number) {
      table.reserve(1);
      const page = table.pages[Math.floor(table.nPast / 64)]!;
      const cells = pages.get(page) ?? [];
      cells[table.nPast % 64] = value;
      pages.set(page, cells);
      table.advance(1);
    },
    read: (table: PageTable) =>
      Array.from({ length: table.nPast }, (_, i) => pages.get(table.pages[Math.floor(i / 64)]!)![i % 64]!),
  };
}

describe("PageTable", () => {
  test("takes pages as positions are reserved and gives them back", () => {
    const pool = new PagePool(3);
    const table = new PageTable(pool, () => {});
    table.reserve(64);
    table.advance(64);
    expect(pool.nFree).toBe(2);
    table.reserve(1);
    expect(pool.nFree).toBe(1);
    table.advance(1);
    table.truncate(64);
    expect(pool.nFree).toBe(2);
    table.dispose();
    expect(pool.nFree).toBe(3);
  });

  test("a full pool is a typed error and changes nothing", () => {
    const pool = new PagePool(2);
    const table = new PageTable(pool, () => {});
    table.reserve(100);
    table.advance(100);
    expect(() => table.reserve(64)).toThrow(expect.objectContaining({ code: "kv-cache-full" }));
    expect(table.pages).toHaveLength(2);
    expect(table.nPast).toBe(100);
    table.reserve(28);
    expect(pool.nFree).toBe(0);
  });

  test("forks share pages until one writes; no write is seen by another", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ kind: fc.constantFrom("write", "fork", "truncate", "dispose"), which: fc.nat(7), n: fc.nat(150) })),
        (actions) => {
          const pool = new PagePool(64);
          const store = fakeStore();
          const sequences: { table: PageTable; expected: number[] }[] = [
            { table: new PageTable(pool, store.copyPage), expected: [] },
          ];
          let next = 0;
          for (const { kind, which, n } of actions) {
            const sequence = sequences[which % sequences.length]!;
            if (kind === "write") {
              for (let i = 0; i < Math.min(n, 200 - sequence.expected.length); i++) {
                if (pool.nFree < 2) break;
                store.write(sequence.table, next);
                sequence.expected.push(next++);
              }
            } else if (kind === "fork" && sequences.length < 5) {
              sequences.push({ table: sequence.table.fork(), expected: [...sequence.expected] });
            } else if (kind === "truncate") {
              const nPast = n % (sequence.expected.length + 1);
              sequence.table.truncate(nPast);
              sequence.expected.length = nPast;
            } else if (kind === "dispose" && sequences.length > 1) {
              sequence.table.dispose();
              sequences.splice(sequences.indexOf(sequence), 1);
            }
          }
          for (const { table, expected } of sequences) expect(store.read(table)).toEqual(expected);
          for (const { table } of sequences) table.dispose();
          expect(pool.nFree).toBe(64);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("truncating beyond what is written is refused", () => {
    const table = new PageTable(new PagePool(1), () => {});
    expect(() => table.truncate(1)).toThrow(RangeError);
    expect(() => table.truncate(-1)).toThrow(RangeError);
  });
});
