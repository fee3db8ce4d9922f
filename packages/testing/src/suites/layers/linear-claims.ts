import { broadcastTo, toFloat64 } from '@qkv/core'
import { expect } from 'vitest'
import { rowsOf, type Case } from './case.ts'
import type { LayerChecks } from './checks.ts'
import { estimate, productSum } from './estimate.ts'

/** A linear layer is a product with the transpose of its weights, whatever its number of rows. */
export function linearClaims({ backend, forRandomCases, expectClose }: LayerChecks): void {
  // More than others: now and then, a case is not what its kernel takes.
  for (const [amount, drawRows, count] of [
    ['few', fewRows, 2450],
    ['many', manyRows, 2250],
  ] as const) {
    const claim = `linear of ${amount} rows is input · weightᵀ + bias`
    const check = async (current: Case): Promise<void> => {
      const { stream, kind } = current
      const [inputs, outputs] = [current.dim(80), current.dim(70)]
      const leading = drawRows(current)
      const repeated = kind.chance(0.2)
      const input = repeated
        ? broadcastTo(current.floats([stream.pick([1, inputs])]), [...leading, inputs])
        : current.floats([...leading, inputs])
      const weight = current.floats([outputs, inputs])
      const bias = kind.chance(0.5) ? current.floats([outputs]) : undefined
      const [x, w, b] = [toFloat64(input), toFloat64(weight), bias && toFloat64(bias)]
      const result = backend().linear(input, weight, bias)
      expect(result.shape).toEqual([...leading, outputs])
      expect(result.dtype).toBe(input.dtype)
      const expected = estimate(rowsOf(leading) * outputs, (index) => {
        const [row, output] = [Math.floor(index / outputs), index % outputs]
        return productSum(x, row * inputs, w, output * inputs, inputs, b?.[output] ?? 0)
      })
      await expectClose(result, expected, current)
    }
    forRandomCases(claim, check, count)
  }
}

function fewRows({ stream, size }: Case): number[] {
  return stream.pick([[], [size(8)], [size(15)], [size(2), size(4)], [size(2), size(2), size(2)]])
}

function manyRows({ stream, size }: Case): number[] {
  return stream.pick([[15 + size(70)], [2, 8 + size(20)], [size(2), 4, 4 + size(6)]])
}
