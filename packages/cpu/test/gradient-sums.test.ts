import { capture, problem, scoreMod, select, tensor, toFloat64, zeros, type OwnedTensor, type Tensor } from '@qkv/core'
import { expect, test } from 'vitest'
import { Arena } from '../src/memory/arena.ts'
import { plainMemory } from '../src/memory/linear-memory.ts'
import { Workspace } from '../src/memory/workspace.ts'
import { placeSums } from '../src/wasm/gradient-sums.ts'

const owned = (view: Tensor): OwnedTensor => ({ ...view, dispose() {}, [Symbol.dispose]() {} })

test('a captured tensor that only a condition reads costs no pass over the pairs, and has a gradient of zeros', () => {
  const [thresholds, slopes] = [zeros([3]), zeros([3])]
  const [threshold, slope] = [capture(thresholds), capture(slopes)]
  const score = scoreMod((score, { head, key, query }) =>
    select(threshold.at(head).lt(key.toFloat()), score.add(slope.at(head).mul(key.sub(query))), score),
  )
  const heads = zeros([1, 3, 4, 8])
  const gradient = tensor([1, 2, 3], [3])
  const captured = new Map([
    [thresholds, owned(gradient)],
    [slopes, owned(zeros([3]))],
  ])
  const [dQuery, dKey, dValue] = [owned(heads), owned(heads), owned(heads)]
  const sums = placeSums(new Workspace(new Arena(plainMemory())), problem(heads, heads, heads, { score }), {
    dQuery,
    dKey,
    dValue,
    dBias: undefined,
    dSinks: undefined,
    captured,
  })
  expect(sums, 'a pass for the slopes alone').toHaveLength(1)
  expect(toFloat64(gradient)).toEqual(new Float64Array(3))
})
