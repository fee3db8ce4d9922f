/**
 * IEEE 754 binary16: one sign bit, five of exponent (bias 15), ten of fraction. JavaScript's `Float16Array` is younger
 * than the engines we support, and halves travel as their 16 bits.
 */

const infinity = 0x7c00
const notANumber = 0x7e00

/** The number that 16 half bits stand for; every half is exact as a float32. */
export function float16ToFloat32(bits: number): number {
  const magnitude = bits & 0x7fff
  const biasedExponent = magnitude >> 10
  const fraction = magnitude & 0x3ff
  const absolute =
    biasedExponent === 0
      ? fraction * 2 ** -24
      : biasedExponent === 31
        ? fraction === 0
          ? Infinity
          : NaN
        : (1024 + fraction) * (powersOfTwo[biasedExponent] ?? NaN)
  return bits & 0x8000 ? -absolute : absolute
}

/** 2^(biased exponent − 25): the value of a half's last place. */
const powersOfTwo = /* @__PURE__ */ Float64Array.from({ length: 31 }, (_, biasedExponent) => 2 ** (biasedExponent - 25))

/**
 * The bits of the half nearest to any number, ties to even; what lies beyond 65504 by half a step or more is infinite,
 * and every NaN is the one quiet NaN.
 */
export function float32ToFloat16(value: number): number {
  const magnitude = Math.abs(value)
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  if (!(magnitude < 65520)) return Number.isNaN(value) ? notANumber : sign | infinity
  // Binade 0 holds the subnormals and the first normals, which share a spacing of 2⁻²⁴; each next doubles it.
  const binade = Math.max(0, 31 - Math.clz32(magnitude * 2 ** 14))
  const steps = magnitude * ((1 << (30 - binade)) / 64)
  return sign + (binade << 10) + roundToEven(steps)
}

/** Adding 2⁵² leaves a float64 no fraction bits, so the addition itself rounds, to nearest even. For 0 ≤ value < 2⁵². */
function roundToEven(value: number): number {
  return value + 2 ** 52 - 2 ** 52
}
