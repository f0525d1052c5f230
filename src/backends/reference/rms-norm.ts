/** out = x / sqrt(mean(x²) + eps) · weight; the mean in f64, as llama.cpp does. */
export function rmsNorm(x: Float32Array, weight: Float32Array, eps: number): Float32Array {
  let sum = 0;
  for (const value of x) sum += value * value;
  const scale = 1 / Math.sqrt(sum / x.length + eps);
  return x.map((value, i) => value * scale * weight[i]!);
}
