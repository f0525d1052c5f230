import { expect, test } from "vitest";
import { CALL_BYTES, readKernel } from "./read-bandwidth.ts";

function instantiate(nBytes: number) {
  const kernel = readKernel(nBytes);
  const { memory, read } = new WebAssembly.Instance(new WebAssembly.Module(kernel.wasm as BufferSource)).exports as unknown as {
    memory: WebAssembly.Memory;
    read: (address: number) => number;
  };
  return { ...kernel, bytes: new Uint8Array(memory.buffer), read };
}

test("a call reads every byte of its range and no other", () => {
  const { bytes, read } = instantiate(2 * CALL_BYTES);
  const before = read(0);
  for (const at of [0, 1, 17, 127, 128, 4099, CALL_BYTES - 129, CALL_BYTES - 1]) {
    bytes[at] = 0xa5;
    expect(read(0), `byte ${at}`).not.toBe(before);
    bytes[at] = 0;
  }
  bytes[CALL_BYTES] = 0xa5;
  expect(read(0)).toBe(before);
  expect(read(CALL_BYTES)).not.toBe(before);
});

test("memories are whole calls", () => {
  expect(instantiate(1).nBytes).toBe(CALL_BYTES);
  const { nBytes, bytes } = instantiate(CALL_BYTES + 1);
  expect(nBytes).toBe(2 * CALL_BYTES);
  expect(bytes.length).toBe(nBytes);
});
