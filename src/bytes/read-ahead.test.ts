import fc from "fast-check";
import { expect, test } from "vitest";
import type { ByteSource } from "./byte-source.ts";
import { memorySource } from "./memory.ts";
import { readAhead } from "./read-ahead.ts";

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 256);

function counted(): { source: ByteSource; reads: [number, number][] } {
  const inner = memorySource(bytes);
  const reads: [number, number][] = [];
  return {
    reads,
    source: {
      ...inner,
      read(offset, length, signal) {
        reads.push([offset, length]);
        return inner.read(offset, length, signal);
      },
    },
  };
}

test("any sequence of reads gives the bytes of the source", async () => {
  const range = fc.tuple(fc.nat(1000), fc.nat(400)).map(([offset, length]) => [offset, Math.min(length, 1000 - offset)] as const);
  await fc.assert(
    fc.asyncProperty(fc.array(range), fc.integer({ min: 1, max: 300 }), fc.boolean(), async (ranges, window, isAtOnce) => {
      const source = readAhead(memorySource(bytes), window);
      const read = ([offset, length]: readonly [number, number]) => source.read(offset, length);
      const results = isAtOnce ? await Promise.all(ranges.map(read)) : [];
      if (!isAtOnce) for (const one of ranges) results.push(await read(one));
      results.forEach((got, i) => expect(got).toEqual(bytes.slice(ranges[i]![0], ranges[i]![0] + ranges[i]![1])));
    }),
  );
});

test("reading forwards in small steps is one fetch per window", async () => {
  const { source, reads } = counted();
  const ahead = readAhead(source, 256);
  for (let offset = 0; offset < 1000; offset += 50) await ahead.read(offset, 50);
  expect(reads).toEqual([
    [0, 256],
    [256, 256],
    [512, 256],
    [768, 232],
  ]);
});

test("a large read takes what the window holds and leaves the window alone", async () => {
  const { source, reads } = counted();
  const ahead = readAhead(source, 100);
  await ahead.read(0, 10);
  await ahead.read(50, 500);
  await ahead.read(60, 10);
  expect(reads).toEqual([
    [0, 100],
    [100, 450],
  ]);
});

test("what the caller changes in its bytes does not come back", async () => {
  const ahead = readAhead(memorySource(bytes), 100);
  (await ahead.read(0, 10)).fill(0);
  expect(await ahead.read(0, 10)).toEqual(bytes.slice(0, 10));
});

test("a read outside the source, or a failed one, does not spoil the next", async () => {
  const ahead = readAhead(memorySource(bytes), 100);
  await expect(ahead.read(990, 20)).rejects.toMatchObject({ code: "bytes-out-of-range" });
  await expect(ahead.read(0, 5, AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
  expect(await ahead.read(995, 5)).toEqual(bytes.slice(995));
});
