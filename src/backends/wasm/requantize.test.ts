import { expect, test } from "vitest";
import { f16 } from "../../quant/f16.ts";
import { f32 } from "../../quant/f32.ts";
import type { FloatPanel, IntPanel } from "../../quant/panel.ts";
import { q8_0 } from "../../quant/q8_0.ts";
import { KernelSet } from "./kernels.ts";
import { emitRequantizeQ8 } from "./requantize.ts";

const N_COLS = 96;
const SOURCE = 1024;
const OUT = 65_536;

function run(format: typeof f16, values: Float32Array, nRows: number): { panels: Uint8Array; flag: number | undefined } {
  const kernels = new KernelSet("plain", 4, false);
  const kernel = kernels.kernel("requantize", (m, name) =>
    emitRequantizeQ8(m, name, format.panel as FloatPanel, q8_0.panel as IntPanel),
  );
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 4 });
  kernels.instantiate(memory);
  const source = format.quantize!(values, nRows, N_COLS);
  new Uint8Array(memory.buffer, SOURCE).set(source.data);
  const flag = kernel.call(SOURCE, nRows, N_COLS / 32, OUT);
  const nBytes = Math.ceil(nRows / 4) * (N_COLS / 32) * q8_0.panel.blockBytes;
  return { panels: new Uint8Array(memory.buffer, OUT, nBytes).slice(), flag };
}

/** Random values with whole blocks of zeros, halves of a step, subnormals and large magnitudes. */
function hardValues(nRows: number): Float32Array {
  let state = 12345;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  return Float32Array.from({ length: nRows * N_COLS }, (_, i) => {
    const block = Math.floor(i / 32);
    if (block % 7 === 0) return 0;
    if (block % 7 === 1) return i % 32 === 0 ? 127 : Math.round(random() * 200) / 2;
    if (block % 7 === 2) return random() * 1e-6;
    return random() * (block % 7 === 3 ? 3e4 : 2);
  });
}

test.each([
  ["F16", f16],
  ["F32", f32],
] as const)("from %s: the same bytes as the scalar quantiser and packer", (_, format) => {
  for (const nRows of [1, 3, 4, 5, 11]) {
    const values = hardValues(nRows);
    const { panels, flag } = run(format, values, nRows);
    const rounded = new Float32Array(values.length);
    const source = format.quantize!(values, nRows, N_COLS);
    for (let row = 0; row < nRows; row++) format.dequantizeRow(source, row, rounded.subarray(row * N_COLS, (row + 1) * N_COLS));
    const expected = new Uint8Array(panels.length);
    q8_0.panel.pack(q8_0.quantize!(rounded, nRows, N_COLS), expected);
    expect(flag).toBe(0);
    expect(panels).toEqual(expected);
  }
});

test("a value that is not finite is told", () => {
  const values = new Float32Array(N_COLS).fill(1);
  values[77] = Number.NaN;
  expect(run(f32, values, 1).flag).toBe(1);
  values[77] = Number.POSITIVE_INFINITY;
  expect(run(f32, values, 1).flag).toBe(1);
});
