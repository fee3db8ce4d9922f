import { tensor, type HostTensor } from '@qkv/core'
import { compileExpression } from '@qkv/core/expression'
import { t5Bias } from '@qkv/positional'
import { expect, test } from 'vitest'

/**
 * Runs of equal buckets, bucket×count, for distances key − query from −(maxDistance + 20) to maxDistance + 20: what
 * `_relative_position_bucket` of Hugging Face transformers 5.18.0's modeling_t5.py returns when run (over NumPy, in float32).
 */
const golden = [
  {
    bidirectional: true,
    buckets: 32,
    maxDistance: 128,
    runs: `
      15×58 14×27 13×18 12×14 11×9 10×7 9×4 8×4 7×1 6×1 5×1 4×1 3×1 2×1 1×1 0×1 17×1 18×1 19×1 20×1 21×1 22×1 23×1 24×4 25×4
      26×7 27×9 28×14 29×18 30×27 31×58`,
  },
  {
    bidirectional: false,
    buckets: 32,
    maxDistance: 128,
    runs: `
      31×36 30×14 29×12 28×10 27×10 26×8 25×7 24×6 23×6 22×5 21×4 20×4 19×3 18×3 17×2 16×3 15×1 14×1 13×1 12×1 11×1 10×1 9×1
      8×1 7×1 6×1 5×1 4×1 3×1 2×1 1×1 0×149`,
  },
  { bidirectional: true, buckets: 6, maxDistance: 16, runs: '2×33 1×3 0×1 4×3 5×33' },
  {
    bidirectional: true,
    buckets: 32,
    maxDistance: 20,
    runs: `
      15×23 14×2 13×1 12×2 11×1 10×1 9×2 8×1 7×1 6×1 5×1 4×1 3×1 2×1 1×1 0×1 17×1 18×1 19×1 20×1 21×1 22×1 23×1 24×1 25×2
      26×1 27×1 28×2 29×1 30×2 31×23`,
  },
]

/** A table in which the bias of a bucket is its number. */
function numbered(buckets: number): HostTensor {
  return tensor(
    Array.from({ length: buckets }, (_, bucket) => bucket),
    [buckets, 1],
  )
}

test.each(golden)(
  'buckets are T5’s own: bidirectional $bidirectional, $buckets buckets up to $maxDistance',
  ({ buckets, runs, ...options }) => {
    const change = compileExpression(t5Bias({ table: numbered(buckets), ...options }).scoreMod.node)
    const middle = options.maxDistance + 20
    const found = Array.from({ length: 2 * middle + 1 }, (_, key) => change(0, 0, middle, key, 0, 0))
    const expected = runs
      .trim()
      .split(/\s+/)
      .flatMap((run) => {
        const [bucket = NaN, count = NaN] = run.split('×').map(Number)
        return new Array<number>(count).fill(bucket)
      })
    expect(found).toEqual(expected)
  },
)

test('buckets never fall as keys get farther', () => {
  const change = compileExpression(t5Bias({ table: numbered(64), bidirectional: false, maxDistance: 1000 }).scoreMod.node)
  const buckets = Array.from({ length: 2000 }, (_, distance) => change(0, 0, 2000, 2000 - distance, 0, 0))
  expect(buckets).toEqual(buckets.toSorted((a, b) => a - b))
  expect([buckets[0], buckets.at(-1)]).toEqual([0, 63])
})

test.each([
  ['buckets / 2', { table: numbered(5) }],
  ['buckets', { table: numbered(1), bidirectional: false }],
  ['maxDistance', { table: numbered(32), maxDistance: 8 }],
  ['table', { table: tensor([1, 2, 3, 4], [4]) }],
])('a wrong %s is refused by name', (argument, options) => {
  expect(() => t5Bias(options)).toThrow(`t5Bias: ${argument} must be`)
})
