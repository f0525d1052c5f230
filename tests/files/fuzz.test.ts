import { describe, expect, it } from "vitest";
import { memorySource } from "../../src/bytes/memory.ts";
import type { GgufFile } from "../../src/gguf/metadata.ts";
import { tensorBytes } from "../../src/quant/geometry.ts";
import { sampleFile } from "./sample.ts";
import { comparable, counted, verdictOf } from "./verdict.ts";

const sample = sampleFile();

/** mulberry32: a small seeded generator, so that a failure can be repeated. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** What every accepted file must satisfy, whatever was flipped. */
function assertSound(file: GgufFile): void {
  let end = file.dataOffset;
  for (const tensor of file.tensors) {
    expect(tensor.byteOffset).toBeGreaterThanOrEqual(end);
    expect(tensor.byteOffset % file.alignment).toBe(0);
    expect(tensor.nBytes).toBe(tensorBytes(tensor.format, tensor.shape));
    end = tensor.byteOffset + tensor.nBytes;
    expect(end).toBeLessThanOrEqual(file.size);
  }
  expect(new Set(file.tensors.map(({ name }) => name)).size).toBe(file.tensors.length);
  expect(new Set(file.metadata.entries.map(({ key }) => key)).size).toBe(file.metadata.entries.length);
}

async function assertBounded(bytes: Uint8Array, note: string): Promise<string | null> {
  const { source, count } = counted(memorySource(bytes));
  const verdict = await verdictOf(source);
  if (verdict.file !== null) assertSound(verdict.file);
  else {
    expect(["GgufError", "UnsupportedError"], note).toContain(verdict.errorClass);
    expect(verdict.code, note).toMatch(/^gguf-/);
    expect(verdict.byteOffset, note).toBeGreaterThanOrEqual(0);
    expect(verdict.byteOffset, note).toBeLessThanOrEqual(bytes.length);
  }
  expect(count.nReads, note).toBeLessThanOrEqual(2);
  expect(count.nBytes, note).toBeLessThanOrEqual(2 * bytes.length);
  return verdict.code;
}

describe("damaged files", () => {
  it("a file cut at any byte is an error with a code, up to the last tensor's padding", async () => {
    const whole = await verdictOf(memorySource(sample));
    const last = whole.file!.tensors.at(-1)!;
    const end = last.byteOffset + last.nBytes;
    expect(end).toBeLessThan(sample.length);
    for (let n = 0; n < sample.length; n++) {
      const code = await assertBounded(sample.slice(0, n), `cut at ${n}`);
      expect(code === null, `cut at ${n}: ${code}`).toBe(n >= end);
    }
  });

  it("6,000 files with flipped bits give a sound value or a typed error", async () => {
    const random = generator(20_260_101);
    const seen = new Map<string | null, number>();
    for (let i = 0; i < 6000; i++) {
      const bytes = sample.slice();
      const nFlips = 1 + random(3);
      for (let k = 0; k < nFlips; k++) bytes[random(bytes.length)]! ^= 1 << random(8);
      const code = await assertBounded(bytes, `flip ${i}`);
      seen.set(code, (seen.get(code) ?? 0) + 1);
    }
    // The flips must reach the rules, or the test proves nothing.
    expect(seen.size).toBeGreaterThan(12);
  });

  it("3,000 files with hostile numbers written over any place give a sound value or a typed error", async () => {
    const random = generator(7);
    const numbers = [
      0n,
      1n,
      2n ** 63n,
      2n ** 64n - 1n,
      2n ** 53n,
      2n ** 32n,
      2n ** 31n,
      0x0909_0909_0909_0909n,
      BigInt(sample.length),
    ];
    for (let i = 0; i < 3000; i++) {
      const bytes = sample.slice();
      const at = random(bytes.length - 8);
      new DataView(bytes.buffer).setBigUint64(at, numbers[random(numbers.length)]!, true);
      await assertBounded(bytes, `number ${i} at ${at}`);
    }
  });
});

describe("the edge of the read window", () => {
  it("gives the same file for every window from 1 byte to beyond the header", async () => {
    const expected = await verdictOf(memorySource(sample));
    for (let windowBytes = 1; windowBytes <= expected.file!.dataOffset + 33; windowBytes += windowBytes < 200 ? 1 : 7) {
      const verdict = await verdictOf(memorySource(sample), windowBytes);
      expect(comparable(verdict), `window ${windowBytes}`).toBe(comparable(expected));
      expect(verdict.file!.metadata.entries, `window ${windowBytes}`).toEqual(expected.file!.metadata.entries);
      expect(verdict.file!.tensors).toEqual(expected.file!.tensors);
    }
  });

  it("gives the same error for every window", async () => {
    const bytes = sample.slice(0, 700);
    const expected = comparable(await verdictOf(memorySource(bytes)));
    for (let windowBytes = 1; windowBytes <= 720; windowBytes++) {
      expect(comparable(await verdictOf(memorySource(bytes), windowBytes)), `window ${windowBytes}`).toBe(expected);
    }
  });
});
