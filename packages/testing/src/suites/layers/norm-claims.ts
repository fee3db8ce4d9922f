import { toFloat64 } from '@qkv/core'
import type { Case } from './case.ts'
import type { LayerChecks } from './checks.ts'
import { estimateRows, gamma, mean } from './estimate.ts'

/** What is normalised over the last axis. */
export function normClaims({ backend, forRandomCases, expectClose }: LayerChecks): void {
  forRandomCases('rmsNorm divides by the root of the mean square', async (current) => {
    const { input, weight, dim, epsilon } = normalisable(current)
    const w = toFloat64(weight)
    const expected = estimateRows(toFloat64(input), dim, (row) => {
      const root = Math.sqrt(mean(row.map((x) => x * x)) + epsilon)
      return (x, column) => {
        const value = (x / root) * w[column]!
        return { value, error: gamma(dim + 8) * Math.abs(value) }
      }
    })
    await expectClose(backend().rmsNorm(input, weight, epsilon), expected, current)
  })

  forRandomCases('layerNorm takes the mean off and divides by the deviation', async (current) => {
    const { input, weight, dim, epsilon } = normalisable(current)
    const bias = current.kind.chance(0.5) ? current.floats([dim]) : undefined
    const [w, b] = [toFloat64(weight), bias && toFloat64(bias)]
    const expected = estimateRows(toFloat64(input), dim, (row) => {
      const [centre, size] = [mean(row), mean(row.map(Math.abs))]
      const deviation = Math.sqrt(mean(row.map((x) => (x - centre) ** 2)) + epsilon)
      return (x, column) => {
        const [factor, added] = [w[column]! / deviation, b?.[column] ?? 0]
        const value = (x - centre) * factor + added
        // The mean's own error moves every element, and the deviation by as much.
        const lost = gamma(dim + 8) * (size + Math.abs(x)) * Math.abs(factor)
        const rounded = gamma(dim + 8) * (Math.abs(value) + Math.abs(added))
        return { value, error: lost * (1 + Math.abs(x - centre) / deviation) + rounded }
      }
    })
    await expectClose(backend().layerNorm(input, weight, bias, epsilon), expected, current)
  })
}

function normalisable(current: Case) {
  const dim = current.dim(70)
  return {
    input: current.floats([...current.leading(), dim], current.stream.pick([0.01, 1, 30])),
    weight: current.floats([dim]),
    dim,
    epsilon: current.stream.pick([1e-5, 1e-6, 0.1]),
  }
}
