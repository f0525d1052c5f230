import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../tests/support/shared.ts";
import { FORMAT_GEOMETRY, type FormatName, isFormatName, tensorBytes } from "../quant/geometry.ts";
import { resolveTypes, type TypedTensor, typeIdOf } from "./types.ts";

const tensor = (typeId: number, nElements: number, room: number, name = "t"): TypedTensor => ({
  name,
  shape: [nElements],
  typeId,
  typeOffset: 100,
  room,
});

describe("type ids", () => {
  it("of every format lead back to it when the size fits", () => {
    for (const format of Object.keys(FORMAT_GEOMETRY) as FormatName[]) {
      const typeId = typeIdOf(format);
      // 4096 weights tell the two meanings of 42 apart: 1152 against 1088 bytes.
      const resolved = resolveTypes([tensor(typeId, 4096, tensorBytes(format, [4096]))], "llama", 32);
      expect(resolved.get(typeId), format).toEqual({ format, isCertain: true });
    }
  });

  it("42: all tensors of a file decide together, so a tensor too small to tell follows the others", () => {
    const small = tensor(42, 128, 64);
    expect(resolveTypes([small], "llama", 32).get(42)).toEqual({ format: "Q2_0", isCertain: true });
    expect(resolveTypes([small, tensor(42, 4096, 1088)], "llama", 32).get(42)?.format).toBe("Q2_0_G128");
    expect(resolveTypes([small, tensor(42, 4096, 1152)], "llama", 32).get(42)?.format).toBe("Q2_0");
    // A row of 64 weights exists only upstream.
    expect(resolveTypes([tensor(42, 64, 32)], "llama", 32).get(42)?.format).toBe("Q2_0");
  });

  it("36: the size decides between I2_S and the removed type, the architecture settles a gap", () => {
    expect(resolveTypes([tensor(36, 4096, 1056)], "llama", 32).get(36)).toEqual({ format: "I2_S", isCertain: true });
    expect(resolveTypes([tensor(36, 4096, 1120)], "bitnet", 32).get(36)).toEqual({ format: "I2_S", isCertain: true });
    expect(resolveTypes([tensor(36, 4096, 1120)], "llama", 32).get(36)).toEqual({ format: "I2_S", isCertain: false });
    expect(() => resolveTypes([tensor(36, 4096, 2304)], "llama", 32)).toThrow(/IQ4_NL_4_4.*removed/);
  });

  it("38 and 39 in BitNet files are table formats, whatever their size", () => {
    for (const architecture of ["bitnet", "bitnet-25", "bitnet-b1.58"]) {
      expect(() => resolveTypes([tensor(39, 4096, 2176)], architecture, 32)).toThrow(
        expect.objectContaining({ code: "gguf-unsupported-type", data: expect.objectContaining({ found: "TL2", tensor: "t" }) }),
      );
      expect(() => resolveTypes([tensor(38, 4096, 2176)], architecture, 32)).toThrow(/TL1.*unsupported/);
    }
    expect(resolveTypes([tensor(39, 4096, 2176)], undefined, 32).get(39)?.format).toBe("MXFP4");
  });

  it("unknown ids are errors at the id", () => {
    expect(() => resolveTypes([tensor(77, 4096, 4096)], "llama", 32)).toThrow(
      expect.objectContaining({ code: "gguf-unknown-type", byteOffset: 100 }),
    );
  });
});

describe.skipIf(!hasShared)("golden blocks (skipped: the full sets are not beside this checkout)", () => {
  it("have the sizes and ids of the table", () => {
    const folder = sharedPath("golden/blocks");
    const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
    expect(names.length).toBeGreaterThanOrEqual(28);
    for (const name of names) {
      const golden = JSON.parse(readFileSync(`${folder}/${name}`, "utf8"));
      expect(isFormatName(golden.type), golden.type).toBe(true);
      const { blockElements, blockBytes } = FORMAT_GEOMETRY[golden.type as keyof typeof FORMAT_GEOMETRY];
      expect({ blockElements, blockBytes, id: typeIdOf(golden.type) }, golden.type).toEqual({
        blockElements: golden.blockElements,
        blockBytes: golden.blockBytes,
        id: golden.id,
      });
    }
  });
});
