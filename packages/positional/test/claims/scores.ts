import { tensor, toFloat64, type HostTensor } from '@qkv/core'
import { alibi, fire, gridBias, kerple, sandwich, t5Bias, temperature, type PositionScore } from '@qkv/positional'
import { random } from '@qkv/testing'

/** A score encoding and its formula once more, written as plainly as the source has it. */
export interface ScoreClaim {
  readonly name: string
  readonly encoding: PositionScore
  readonly heads: number
  /** Whether it is meant for causal attention. */
  readonly causal?: boolean
  /** The new score of query `i` and key `j`, counted among the keys. */
  expected(head: number, i: number, j: number, score: number): number
}

export const scoreClaims: readonly ScoreClaim[] = [
  alibiClaim('ALiBi, 8 heads', 8, [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]),
  // 2^-1, 2^-2, … of 8 heads are every second of 16 heads' 2^-0.5, 2^-1, …
  alibiClaim('ALiBi, 12 heads', 12, [
    0.5,
    0.25,
    0.125,
    2 ** -4,
    2 ** -5,
    2 ** -6,
    2 ** -7,
    2 ** -8,
    2 ** -0.5,
    2 ** -1.5,
    2 ** -2.5,
    2 ** -3.5,
  ]),
  alibiClaim('ALiBi, 1 head', 1, [2 ** -8]),
  t5Claim('T5, bidirectional', true),
  t5Claim('T5, causal', false),
  kerpleClaim('logarithmic'),
  kerpleClaim('power'),
  sandwichClaim(),
  fireClaim(),
  gridClaim(),
  classTokenClaim(),
  {
    name: 'attention temperature',
    heads: 2,
    encoding: temperature({ beta: 0.1, floor: 4 }),
    expected: (_, i, __, score) => score * (0.1 * Math.log(1 + Math.floor((i + 1) / 4)) + 1),
  },
]

function alibiClaim(name: string, heads: number, slopes: readonly number[]): ScoreClaim {
  return { name, heads, encoding: alibi({ heads }), expected: (h, i, j, score) => score - slopes[h]! * Math.abs(i - j) }
}

function t5Claim(name: string, bidirectional: boolean): ScoreClaim {
  const [buckets, heads, maxDistance] = [8, 3, 12]
  const table = floats('t5', [buckets, heads])
  const bias = toFloat64(table)
  // What the function of Hugging Face transformers' modeling_t5.py returns for each distance.
  const bucketOf = (distance: number): number => {
    if (!bidirectional) return [0, 1, 2, 3, 4, 4, 5, 6, 6, 6, 7, 7, 7][Math.min(12, Math.max(0, -distance))]!
    return [0, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3][Math.min(12, Math.abs(distance))]! + (distance > 0 ? 4 : 0)
  }
  return {
    name,
    heads,
    causal: !bidirectional,
    encoding: t5Bias({ table, bidirectional, maxDistance }),
    expected: (h, i, j, score) => score + bias[bucketOf(j - i) * heads + h]!,
  }
}

function kerpleClaim(kernel: 'logarithmic' | 'power'): ScoreClaim {
  const [r1, r2] = [tensor([0.5, 1.25, 0.1], [3]), tensor([0.25, 1.5, 2], [3])]
  const [much, fast] = [toFloat64(r1), toFloat64(r2)]
  return {
    name: `KERPLE, ${kernel}`,
    heads: 3,
    encoding: kerple({ kernel, r1, r2 }),
    expected: (h, i, j, score) => {
      const distance = Math.abs(i - j)
      return score - much[h]! * (kernel === 'power' ? distance ** fast[h]! : Math.log(1 + fast[h]! * distance))
    },
  }
}

function sandwichClaim(): ScoreClaim {
  const [heads, dim] = [3, 16]
  return {
    name: 'Sandwich',
    heads,
    encoding: sandwich({ heads, length: 40, dim }),
    expected: (h, i, j, score) => {
      let product = 0
      for (let m = 1; m <= dim / 2; m++) product += Math.cos((i - j) / 10000 ** ((2 * m) / dim))
      return score + (product - dim / 2) / (((h + 1) * 8) / heads)
    },
  }
}

/** With as many hidden units as the paper has, one of them dead and one rising to the left. */
function fireClaim(): ScoreClaim {
  const [hidden, heads, c, L] = [32, 2, 0.1, 3.5]
  const [weight1, bias1] = [floats('weight1', [hidden]), floats('bias1', [hidden])]
  weight1.storage[3] = 0
  const [weight2, bias2] = [floats('weight2', [heads, hidden], 0.3), floats('bias2', [heads])]
  const [w1, b1, w2, b2] = [weight1, bias1, weight2, bias2].map(toFloat64) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  const psi = (x: number): number => Math.log(Math.abs(Math.fround(c) * x) + 1)
  return {
    name: 'FIRE',
    heads,
    encoding: fire({ weight1, bias1, weight2, bias2, c, L }),
    expected: (h, i, j, score) => {
      const x = psi(i - j) / (psi(Math.max(i, L)) + 1e-6)
      return w1.reduce((sum, weight, unit) => sum + w2[h * hidden + unit]! * Math.max(0, weight * x + b1[unit]!), score + b2[h]!)
    },
  }
}

/** 24 patches, 4 rows of 6. */
function gridClaim(): ScoreClaim {
  const [height, width, heads] = [4, 6, 2]
  const table = floats('grid', [7 * 11, heads])
  const bias = toFloat64(table)
  return {
    name: 'Swin’s table',
    heads,
    encoding: gridBias({ height, width, table }),
    expected: (h, i, j, score) => {
      const down = Math.floor(i / width) - Math.floor(j / width)
      const right = (i % width) - (j % width)
      return score + bias[((down + height - 1) * 11 + (right + width - 1)) * heads + h]!
    },
  }
}

/** As BEiT's code has it: rows of the table's end for the class token as query, as key and as both. */
function classTokenClaim(): ScoreClaim {
  const [height, width, heads] = [4, 6, 2]
  const table = floats('grid with a class token', [7 * 11 + 3, heads])
  const bias = toFloat64(table)
  const stepOf = (i: number, j: number): number => {
    if (i === 0) return 77 + (j === 0 ? 2 : 0)
    if (j === 0) return 78
    const down = Math.floor((i - 1) / width) - Math.floor((j - 1) / width)
    const right = ((i - 1) % width) - ((j - 1) % width)
    return (down + height - 1) * 11 + (right + width - 1)
  }
  return {
    name: 'BEiT’s table',
    heads,
    encoding: gridBias({ height, width, table, classToken: true }),
    expected: (h, i, j, score) => score + bias[stepOf(i, j) * heads + h]!,
  }
}

export function floats(name: string, shape: readonly number[], deviation = 1): HostTensor {
  const stream = random(3, name)
  const count = shape.reduce((product, size) => product * size, 1)
  return tensor(
    Float32Array.from({ length: count }, () => deviation * stream.normal()),
    shape,
  )
}
