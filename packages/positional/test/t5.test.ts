import { compileExpression, tensor } from '@qkv/core'
import { t5Bias } from '@qkv/positional'
import { expect, test } from 'vitest'

/**
 * Runs of equal buckets, [bucket, how many], for distances key − query from −(maxDistance + 20) to maxDistance + 20: what
 * `_relative_position_bucket` of Hugging Face transformers 5.18.0's modeling_t5.py returns when run (over NumPy, in float32).
 */
const golden: readonly (readonly [
  bidirectional: boolean,
  buckets: number,
  maxDistance: number,
  runs: readonly (readonly [number, number])[],
])[] = [
  [
    true,
    32,
    128,
    [
      [15, 58],
      [14, 27],
      [13, 18],
      [12, 14],
      [11, 9],
      [10, 7],
      [9, 4],
      [8, 4],
      [7, 1],
      [6, 1],
      [5, 1],
      [4, 1],
      [3, 1],
      [2, 1],
      [1, 1],
      [0, 1],
      [17, 1],
      [18, 1],
      [19, 1],
      [20, 1],
      [21, 1],
      [22, 1],
      [23, 1],
      [24, 4],
      [25, 4],
      [26, 7],
      [27, 9],
      [28, 14],
      [29, 18],
      [30, 27],
      [31, 58],
    ],
  ],
  [
    false,
    32,
    128,
    [
      [31, 36],
      [30, 14],
      [29, 12],
      [28, 10],
      [27, 10],
      [26, 8],
      [25, 7],
      [24, 6],
      [23, 6],
      [22, 5],
      [21, 4],
      [20, 4],
      [19, 3],
      [18, 3],
      [17, 2],
      [16, 3],
      [15, 1],
      [14, 1],
      [13, 1],
      [12, 1],
      [11, 1],
      [10, 1],
      [9, 1],
      [8, 1],
      [7, 1],
      [6, 1],
      [5, 1],
      [4, 1],
      [3, 1],
      [2, 1],
      [1, 1],
      [0, 149],
    ],
  ],
  [
    true,
    6,
    16,
    [
      [2, 33],
      [1, 3],
      [0, 1],
      [4, 3],
      [5, 33],
    ],
  ],
  [
    true,
    32,
    20,
    [
      [15, 23],
      [14, 2],
      [13, 1],
      [12, 2],
      [11, 1],
      [10, 1],
      [9, 2],
      [8, 1],
      [7, 1],
      [6, 1],
      [5, 1],
      [4, 1],
      [3, 1],
      [2, 1],
      [1, 1],
      [0, 1],
      [17, 1],
      [18, 1],
      [19, 1],
      [20, 1],
      [21, 1],
      [22, 1],
      [23, 1],
      [24, 1],
      [25, 2],
      [26, 1],
      [27, 1],
      [28, 2],
      [29, 1],
      [30, 2],
      [31, 23],
    ],
  ],
]

test.each(golden)('buckets are T5’s own: bidirectional %s, %d buckets up to %d', (bidirectional, buckets, maxDistance, runs) => {
  // The bias of a bucket is its number.
  const table = tensor(
    Float32Array.from({ length: buckets }, (_, bucket) => bucket),
    [buckets, 1],
  )
  const change = compileExpression(t5Bias({ table, bidirectional, maxDistance }).scoreMod.node)
  const middle = maxDistance + 20
  const found = Array.from({ length: 2 * middle + 1 }, (_, key) => change(0, 0, middle, key, 0, 0))
  expect(found).toEqual(runs.flatMap(([bucket, count]) => new Array<number>(count).fill(bucket)))
})

test('buckets never fall as keys get farther', () => {
  const table = tensor(
    Float32Array.from({ length: 64 }, (_, bucket) => bucket),
    [64, 1],
  )
  const change = compileExpression(t5Bias({ table, bidirectional: false, maxDistance: 1000 }).scoreMod.node)
  let last = -1
  for (let distance = 0; distance < 2000; distance++) {
    const bucket = change(0, 0, 2000, 2000 - distance, 0, 0)
    expect(bucket).toBeGreaterThanOrEqual(last)
    last = bucket
  }
  expect(last).toBe(63)
})
