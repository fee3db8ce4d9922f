/** bfloat16: the upper half of a float32. Same range, eight significant bits. */

const memory = /* @__PURE__ */ new ArrayBuffer(4)
const word = /* @__PURE__ */ new Uint32Array(memory)
const float = /* @__PURE__ */ new Float32Array(memory)

/** The number that 16 bfloat16 bits stand for; each is a float32 already. */
export function bfloat16ToFloat32(bits: number): number {
  word[0] = bits << 16
  return at(float)
}

/**
 * The bits of the bfloat16 nearest to any number, ties to even; every NaN is the one quiet NaN. Going through float32
 * would round twice; where that lands on a tie, the number itself says on which side it came from.
 */
export function float32ToBfloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0
  float[0] = value
  const bits = at(word)
  const upper = bits >>> 16
  const lower = bits & 0xffff
  if (lower !== 0x8000) return lower < 0x8000 ? upper : upper + 1
  const beyond = Math.abs(value) - Math.abs(at(float))
  return beyond > 0 || (beyond === 0 && upper % 2 === 1) ? upper + 1 : upper
}

function at(array: Uint32Array | Float32Array): number {
  return array[0] ?? 0
}
