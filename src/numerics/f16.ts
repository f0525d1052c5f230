/**
 * Half precision (IEEE 754 binary16) and bfloat16 as 16-bit patterns. Conversions from f32 round half to even and keep subnormals.
 * A number that is not an f32 is rounded to f32 first, as C code with `float` arguments does. NaN becomes the quiet NaN
 * 0x7e00 (0x7fc0 in bfloat16) whatever its payload, because engines do not keep payloads.
 * `Float16Array` is not used: the engine runs where it is missing.
 */

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** The value of a half, 0 ≤ `bits` ≤ 0xffff. */
export function f16ToF32(bits: number): number {
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 0x3ff;
  const sign = (bits & 0x8000) << 16;
  if (exponent === 0) return sign === 0 ? fraction * 2 ** -24 : -fraction * 2 ** -24;
  if (exponent === 31) return fraction !== 0 ? Number.NaN : sign === 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  u32[0] = sign | ((exponent + 112) << 23) | (fraction << 13);
  return f32[0]!;
}

/** The half nearest to `x` (as an f32), ties to even; from 65,520 on infinity. */
export function f32ToF16(x: number): number {
  f32[0] = x;
  const bits = u32[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65,520: halfway between the largest half and 65,536
  if (magnitude < 0x33000001) return sign; // 2^-25: halfway to the smallest subnormal, and zero is the even neighbour
  if (magnitude < 0x38800000) {
    // Below 2^-14: a subnormal half is a count of 2^-24. A carry into 1024 is the smallest normal number, as it should be.
    const significand = (magnitude & 0x7fffff) | 0x800000;
    const shift = 126 - (magnitude >>> 23); // value = significand × 2^(exponent − 150); count = significand >> shift
    const half = 1 << (shift - 1);
    const count = significand >>> shift;
    const rest = significand & ((1 << shift) - 1);
    return sign | (count + (rest > half || (rest === half && (count & 1) === 1) ? 1 : 0));
  }
  // Normal: drop 13 bits of the fraction, re-bias the exponent by 112; a carry moves into the exponent by itself.
  return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - (112 << 23)) >>> 13);
}

/** The value of a bfloat16, 0 ≤ `bits` ≤ 0xffff. */
export function bf16ToF32(bits: number): number {
  u32[0] = bits << 16;
  return f32[0]!;
}

/** The bfloat16 nearest to `x` (as an f32), ties to even. */
export function f32ToBf16(x: number): number {
  f32[0] = x;
  const bits = u32[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Values of many halves; `out` must have at least their number of elements. */
export function f16ToF32Array(bits: Uint16Array, out: Float32Array = new Float32Array(bits.length)): Float32Array {
  return mapInto(bits, out, f16ToF32);
}

/** Halves of many values. */
export function f32ToF16Array(values: Float32Array, out: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  return mapInto(values, out, f32ToF16);
}

/** Values of many bfloat16 numbers. */
export function bf16ToF32Array(bits: Uint16Array, out: Float32Array = new Float32Array(bits.length)): Float32Array {
  return mapInto(bits, out, bf16ToF32);
}

/** bfloat16 patterns of many values. */
export function f32ToBf16Array(values: Float32Array, out: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  return mapInto(values, out, f32ToBf16);
}

function mapInto<Out extends Float32Array | Uint16Array>(
  input: Float32Array | Uint16Array,
  out: Out,
  convert: (x: number) => number,
): Out {
  if (out.length < input.length) throw new RangeError(`f16: out has ${out.length} elements; must have ${input.length}`);
  for (let i = 0; i < input.length; i++) out[i] = convert(input[i]!);
  return out;
}
