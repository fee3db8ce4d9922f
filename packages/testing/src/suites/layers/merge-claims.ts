import { toFloat64, type HostPartial } from '@qkv/core'
import { rowsOf } from './case.ts'
import type { LayerChecks } from './checks.ts'
import { estimate, gamma } from './estimate.ts'

/** Merging as an operation of its own, of parts that no attention has made. */
export function mergeClaims({ backend, forRandomCases, expectClose }: LayerChecks): void {
  forRandomCases('merge weighs parts by their log-sum-exps', async (current) => {
    const { stream, size } = current
    const dim = size(40)
    const rows = [size(2), size(3), size(9)]
    const spread = stream.pick([0.1, 3, 40])
    // Some parts have seen no key of some rows: whatever their output holds there takes no part.
    const parts = Array.from({ length: stream.integer(1, 5) }, (): HostPartial => {
      const lse = current.numbers(rows, spread).map((log) => (stream.chance(0.15) ? -Infinity : log))
      const output = current.numbers([...rows, dim], 1).map((x, index) => (lse[Math.floor(index / dim)] === -Infinity ? NaN : x))
      return { output: current.place(output, [...rows, dim], current.floatDtype), lse: current.place(lse, rows, 'float32') }
    })
    const merged = backend().merge(parts)

    const outputs = parts.map(({ output }) => toFloat64(output))
    const logs = parts.map(({ lse }) => toFloat64(lse))
    const wholes = Array.from({ length: rowsOf(rows) }, (_, row) => logSumExp(logs.map((log) => log[row]!)))
    const expected = estimate(wholes.length * dim, (index) => {
      const row = Math.floor(index / dim)
      let value = 0
      let error = 0
      logs.forEach((log, part) => {
        if (log[row] === -Infinity) return
        const term = Math.exp(log[row]! - wholes[row]!) * outputs[part]![index]!
        value += term
        // The exponent is rounded, as are weight, sum and quotient.
        error += Math.abs(term) * gamma(parts.length + 8 + 2 * Math.abs(log[row]! - wholes[row]!))
      })
      // Weights are off by as much as their exponents, and so is what they are divided by.
      return { value, error: 2 * error }
    })
    await expectClose(merged.output, expected, current)
    await expectClose(
      merged.lse!,
      estimate(wholes.length, (row) => ({
        value: wholes[row]!,
        error: wholes[row] === -Infinity ? 0 : gamma(parts.length + 8) * (1 + Math.abs(wholes[row]!)),
      })),
      current,
    )
  })
}

function logSumExp(logs: readonly number[]): number {
  const highest = Math.max(...logs)
  if (highest === -Infinity) return -Infinity
  return highest + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - highest), 0))
}
