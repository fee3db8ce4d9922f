import { Float16Array } from '@petamoriken/float16'
import { describe, expect, it } from 'vitest'
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from '@qkv/core'

const allBits = Array.from({ length: 65536 }, (_, bits) => bits)

const formats = [
  { name: 'float16', decode: float16ToFloat32, encode: float32ToFloat16, fractionBits: 10, bias: 15 },
  { name: 'bfloat16', decode: bfloat16ToFloat32, encode: float32ToBfloat16, fractionBits: 7, bias: 127 },
]

describe.each(formats)('$name', ({ decode, encode, fractionBits, bias }) => {
  const infinity = (2 * bias + 1) << fractionBits
  const finiteBits = allBits.filter((bits) => (bits & 0x7fff) < infinity)

  /** IEEE 754's definition, in float64 arithmetic. */
  function valueOf(bits: number): number {
    const sign = bits & 0x8000 ? -1 : 1
    const exponent = (bits & 0x7fff) >> fractionBits
    const fraction = (bits % 2 ** fractionBits) / 2 ** fractionBits
    if (exponent === 2 * bias + 1) return fraction === 0 ? sign * Infinity : NaN
    return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias))
  }

  it('decodes all 65,536 values as IEEE 754 defines them', () => {
    const wrong = allBits.filter((bits) => !Object.is(decode(bits), valueOf(bits)))
    expect(wrong).toEqual([])
  })

  it('encodes every value back to its own bits', () => {
    expect(finiteBits.filter((bits) => encode(decode(bits)) !== bits)).toEqual([])
    expect([encode(Infinity), encode(-Infinity)]).toEqual([infinity, infinity | 0x8000])
    expect(decode(encode(NaN))).toBeNaN()
  })

  it('rounds to nearest at every boundary between neighbours, and ties to even', () => {
    const wrong = finiteBits.filter((bits) => {
      const value = valueOf(bits)
      // The largest value's next step is where infinity begins.
      const next = (bits & 0x7fff) + 1 === infinity ? value + (value - valueOf(bits - 1)) : valueOf(bits + 1)
      const middle = (value + next) / 2
      const even = bits % 2 === 0 ? bits : bits + 1
      const towards = (target: number): number => middle + (target - middle) * 2 ** -40
      return encode(middle) !== even || encode(towards(value)) !== bits || encode(towards(next)) !== bits + 1
    })
    expect(wrong).toEqual([])
  })

  it('keeps the sign of zero and of what rounds to it', () => {
    expect([encode(0), encode(-0), encode(1e-60), encode(-1e-60)]).toEqual([0, 0x8000, 0, 0x8000])
  })
})

describe('float16, beside an independent implementation', () => {
  const theirs = new Float16Array(1)
  const theirBits = new Uint16Array(theirs.buffer)
  const encodeTheirs = (value: number): number => {
    theirs[0] = value
    return theirBits[0] ?? NaN
  }

  it('agrees on float32 values around every boundary', () => {
    const word = new Int32Array(1)
    const float = new Float32Array(word.buffer)
    let wrong = 0
    for (let bits = 0; bits < 0x7bff; bits++) {
      float[0] = (float16ToFloat32(bits) + float16ToFloat32(bits + 1)) / 2
      const middle = word[0] ?? 0
      for (const step of [-2, -1, 0, 1, 2]) {
        word[0] = middle + step
        const value = float[0] ?? 0
        if (float32ToFloat16(value) !== encodeTheirs(value)) wrong++
        if (float32ToFloat16(-value) !== encodeTheirs(-value)) wrong++
      }
    }
    expect(wrong).toBe(0)
  })
})
