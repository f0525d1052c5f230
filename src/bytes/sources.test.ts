/** What memory, Blob and path sources have in common, and the errors of paths. */
import { chmod, mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blobSource } from "./blob.ts";
import type { ByteSource } from "./byte-source.ts";
import { openFileSource } from "./file.ts";
import { memorySource } from "./memory.ts";

const content = Uint8Array.from({ length: 300 }, (_, i) => i & 0xff);
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "byte-source-"));
  await writeFile(join(folder, "a.bin"), content);
});
afterAll(() => rm(folder, { recursive: true }));

const kinds: Readonly<Record<string, () => Promise<ByteSource>>> = {
  memory: async () => memorySource(content, "a.bin"),
  "view of memory": async () => memorySource(Uint8Array.from([9, ...content, 9]).subarray(1, 301)),
  blob: async () => blobSource(new Blob([content])),
  file: async () => blobSource(new File([content], "a.bin")),
  path: () => openFileSource(join(folder, "a.bin")),
};

describe.each(Object.keys(kinds))("%s", (kind) => {
  it("gives exact bytes that the caller owns, or throws", async () => {
    const source = await kinds[kind]!();
    expect(source.size).toBe(300);
    for (const [offset, length] of [
      [0, 300],
      [299, 1],
      [300, 0],
      [17, 100],
    ] as const) {
      expect(await source.read(offset, length)).toEqual(content.slice(offset, offset + length));
      if (source.readSync) expect(source.readSync(offset, length)).toEqual(content.slice(offset, offset + length));
    }
    const mine = await source.read(0, 4);
    mine.fill(77);
    expect(await source.read(0, 4)).toEqual(content.slice(0, 4));
    for (const [offset, length] of [
      [0, 301],
      [300, 1],
      [-1, 2],
      [0.5, 1],
      [2 ** 53, 1],
      [1, Number.MAX_SAFE_INTEGER],
    ] as const) {
      await expect(source.read(offset, length)).rejects.toMatchObject({ code: "bytes-out-of-range" });
      if (source.readSync)
        expect(() => source.readSync!(offset, length)).toThrow(expect.objectContaining({ code: "bytes-out-of-range" }));
    }
    await expect(source.read(0, 1, AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
    await source.close?.();
    await source.close?.();
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: "source-closed" });
    if (source.readSync) expect(() => source.readSync!(0, 1)).toThrow(expect.objectContaining({ code: "source-closed" }));
  });
});

describe("names", () => {
  it("come from the file, or are given", () => {
    expect(blobSource(new File([content], "m.gguf")).name).toBe("m.gguf");
    expect(blobSource(new Blob([content])).name).toBe("blob");
    expect(blobSource(new Blob([content]), "x").name).toBe("x");
    expect(memorySource(content).name).toBe("memory");
  });
});

describe("paths", () => {
  it("that are missing, lead through a file, or name a folder", async () => {
    const missing = join(folder, "none.gguf");
    await expect(openFileSource(missing)).rejects.toMatchObject({
      code: "file-not-found",
      message: expect.stringContaining(missing),
      hint: expect.any(String),
      data: { path: missing, system: "ENOENT" },
    });
    await expect(openFileSource(join(folder, "a.bin", "b"))).rejects.toMatchObject({ code: "file-not-found" });
    await mkdir(join(folder, "sub"));
    await expect(openFileSource(join(folder, "sub"))).rejects.toMatchObject({
      code: "file-not-readable",
      message: expect.stringContaining("a directory"),
    });
    await expect(openFileSource("a\0b")).rejects.toMatchObject({ code: "file-not-readable" });
    await expect(openFileSource("/dev/null")).rejects.toMatchObject({ code: "file-not-readable" });
  });

  it.skipIf(process.getuid?.() === 0)("without permission (skipped: root may read everything)", async () => {
    const path = join(folder, "locked.bin");
    await writeFile(path, content);
    await chmod(path, 0);
    await expect(openFileSource(path)).rejects.toMatchObject({
      code: "file-not-readable",
      hint: expect.stringContaining("permission"),
    });
  });

  it("of a file that shrinks while it is open", async () => {
    const path = join(folder, "shrinks.bin");
    await writeFile(path, content);
    const source = await openFileSource(path);
    await truncate(path, 100);
    expect(await source.read(0, 100)).toEqual(content.slice(0, 100));
    await expect(source.read(50, 100)).rejects.toMatchObject({ code: "file-changed", data: { byteOffset: 100 } });
    expect(() => source.readSync!(50, 100)).toThrow(expect.objectContaining({ code: "file-changed" }));
    await source.close?.();
  });

  it("survive a close while a read is under way", async () => {
    // More than one piece of 16 MiB, so that a read goes back to the handle after the close.
    const path = join(folder, "large.bin");
    await writeFile(path, content);
    await truncate(path, 40_000_000);
    const source = await openFileSource(path);
    const reads = [source.read(0, 40_000_000), source.read(1, 10)];
    await source.close?.();
    expect((await Promise.all(reads)).map(({ length }) => length)).toEqual([40_000_000, 10]);
  });
});
