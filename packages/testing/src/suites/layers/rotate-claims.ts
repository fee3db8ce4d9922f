import { broadcastTo, permute, toFloat64, zeros } from '@qkv/core'
import { expect, test } from 'vitest'
import type { LayerChecks } from './checks.ts'
import { estimate, sumOf } from './estimate.ts'

/** Turning pairs of elements by a table of cosines and sines. */
export function rotateClaims({ backend, forRandomCases, expectClose }: LayerChecks): void {
  forRandomCases('rotate turns pairs of elements and lets the rest pass', async (current) => {
    const { stream, kind } = current
    const layout = kind.pick(['half', 'interleaved'] as const)
    const shape = [current.size(2), current.size(3), current.length(5), 2 * kind.integer(1, 20)]
    const half = kind.integer(0, shape[3]! / 2)
    const input = current.floats(shape)
    const tableShape = [
      ...stream.pick([
        [shape[0]!, shape[1]!],
        [shape[0]!, 1],
        [1, 1],
      ]),
      shape[2]!,
      half,
    ]
    const angles = current.numbers(tableShape, 3)
    const [cos, sin] = [angles.map(Math.cos), angles.map(Math.sin)].map((values) => current.place(values, tableShape, 'float32'))
    const result = backend().rotate(input, { cos: cos!, sin: sin!, layout, dim: 2 * half })
    expect(result.shape).toEqual(shape)
    const x = toFloat64(input)
    const [c, s] = [cos!, sin!].map((table) => toFloat64(broadcastTo(table, [...shape.slice(0, 3), half])))
    await expectClose(
      result,
      estimate(x.length, (index) => {
        const [row, element] = [Math.floor(index / shape[3]!), index % shape[3]!]
        if (element >= 2 * half) return { value: x[index]!, error: 0 }
        const pair = layout === 'half' ? element % half : element >> 1
        const second = layout === 'half' ? element >= half : element % 2 === 1
        const partner = index + (layout === 'half' ? half : 1) * (second ? -1 : 1)
        return sumOf([x[index]! * c![row * half + pair]!, (second ? 1 : -1) * x[partner]! * s![row * half + pair]!])
      }),
      current,
    )
  })

  test('rotate keeps the order of axes in memory', () => {
    const headsLast = permute(zeros([2, 5, 3, 8]), [0, 2, 1, 3])
    const table = { cos: zeros([5, 4]), sin: zeros([5, 4]), layout: 'half', dim: 8 } as const
    const result = backend().rotate(headsLast, table)
    expect(result.strides).toEqual(headsLast.strides)
    result.dispose()
  })
}
