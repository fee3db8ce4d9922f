/** Cosines and sines as ONNX Runtime's rotary operators take them, [length, headDim / 2]: position · base^(−2i/headDim). */
export function rotaryCaches(
  length: number,
  headDim: number,
  base: number,
): { cos: Float32Array; sin: Float32Array; shape: readonly number[] } {
  const pairs = headDim / 2
  const angle = (at: number): number => Math.floor(at / pairs) * base ** (-(at % pairs) / pairs)
  return {
    cos: Float32Array.from({ length: length * pairs }, (_, at) => Math.cos(angle(at))),
    sin: Float32Array.from({ length: length * pairs }, (_, at) => Math.sin(angle(at))),
    shape: [length, pairs],
  }
}
