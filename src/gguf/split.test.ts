import { describe, expect, it } from "vitest";
import { memorySource } from "../bytes/memory.ts";
import type { GgufFile } from "./metadata.ts";
import { readGguf } from "./reader.ts";
import { checkSplit, splitInfo, splitPartNames } from "./split.ts";
import { type GgufWriteEntry, writeGguf } from "./writer.ts";

interface Part {
  readonly no?: number;
  readonly count?: number;
  readonly total?: number;
  readonly architecture?: string;
  readonly names?: readonly string[];
}

async function part({ no = 0, count = 2, total = 2, architecture, names = [`t${no}`] }: Part): Promise<GgufFile> {
  const metadata: GgufWriteEntry[] = [
    { key: "split.no", type: "u16", value: no },
    { key: "split.count", type: "u16", value: count },
    { key: "split.tensors.count", type: "i32", value: total },
  ];
  if (architecture !== undefined) metadata.push({ key: "general.architecture", type: "string", value: architecture });
  const tensors = names.map((name) => ({ name, shape: [8], format: "F32" as const, data: new Uint8Array(32) }));
  return readGguf(memorySource(writeGguf({ metadata, tensors })));
}

describe("split models", () => {
  it("whose parts belong together are accepted", async () => {
    expect(splitInfo((await part({ no: 1 })).metadata)).toEqual({ no: 1, count: 2, nTensors: 2 });
    checkSplit([await part({ architecture: "llama" }), await part({ no: 1 })]);
  });

  it("whose numbers contradict each other are refused", async () => {
    const bad: readonly (readonly [string, readonly Part[]])[] = [
      ["a missing part", [{}]],
      ["a part too many", [{}, { no: 1 }, { no: 1 }]],
      ["the wrong order", [{ no: 1 }, {}]],
      ["the same part twice", [{}, {}]],
      ["another count", [{}, { no: 1, count: 3 }]],
      ["another total", [{}, { no: 1, total: 3 }]],
      ["too few tensors", [{ total: 3 }, { no: 1, total: 3 }]],
      ["a tensor in both", [{ names: ["t"] }, { no: 1, names: ["t"] }]],
      ["another architecture", [{ architecture: "llama" }, { no: 1, architecture: "qwen2" }]],
      ["a file that is no part", [{ count: 0 }, { no: 1 }]],
      ["a number beyond the count", [{ no: 2 }, { no: 1 }]],
      ["a negative total", [{ total: -1 }, { no: 1, total: -1 }]],
    ];
    for (const [name, parts] of bad) {
      const files = await Promise.all(parts.map(part));
      expect(() => checkSplit(files), name).toThrow(expect.objectContaining({ code: "gguf-split" }));
    }
    expect(() => checkSplit([])).toThrow(expect.objectContaining({ code: "gguf-split" }));
  });

  it("one file alone is no split", async () => {
    expect(splitInfo((await part({ count: 1 })).metadata)).toBeNull();
    expect(splitInfo((await part({ count: 0 })).metadata)).toBeNull();
  });

  it("names of parts come from the given name and stay beside it", () => {
    expect(splitPartNames("a/b/m-00002-of-00003.gguf")).toEqual([
      "a/b/m-00001-of-00003.gguf",
      "a/b/m-00002-of-00003.gguf",
      "a/b/m-00003-of-00003.gguf",
    ]);
    for (const name of ["m.gguf", "m-00000-of-00003.gguf", "m-00004-of-00003.gguf", "m-1-of-3.gguf", "m-00001-of-00003.bin"]) {
      expect(splitPartNames(name)).toBeNull();
    }
  });
});
