import { broadcastTo, toFloat64, type Activation } from '@qkv/core'
import type { LayerChecks } from './checks.ts'
import { estimate, gamma } from './estimate.ts'

/** What is done to each element by itself. */
export function elementwiseClaims({ backend, forRandomCases, expectClose }: LayerChecks): void {
  for (const [activation, f] of Object.entries(activations)) {
    forRandomCases(`activate: ${activation}`, async (current) => {
      const input = current.floats(current.shape(), current.stream.pick([0.01, 1, 6]))
      const x = toFloat64(input)
      // x/(1 + exp(−x)) and its kin: errors relative to the result, and of tanh and erf near ±1, to x.
      await expectClose(
        backend().activate(input, activation as Activation),
        estimate(x.length, (index) => {
          const value = f(x[index]!)
          return { value, error: gamma(16) * (Math.abs(value) + (activation.startsWith('gelu') ? Math.abs(x[index]!) : 0)) }
        }),
        current,
      )
    })
  }

  for (const [operation, f] of [
    ['add', (a: number, b: number) => a + b],
    ['multiply', (a: number, b: number) => a * b],
  ] as const) {
    forRandomCases(`${operation} broadcasts the right operand`, async (current) => {
      const shape = current.shape()
      const left = current.floats(shape)
      const kept = shape.slice(current.stream.integer(0, shape.length)).map((size) => (current.stream.chance(0.3) ? 1 : size))
      const right = current.floats(kept)
      const [a, b] = [toFloat64(left), toFloat64(broadcastTo(right, shape))]
      await expectClose(
        backend()[operation](left, right),
        estimate(a.length, (index) => {
          const value = f(a[index]!, b[index]!)
          return { value, error: gamma(1) * Math.abs(value) }
        }),
        current,
      )
    })
  }
}

const activations: Readonly<Record<Activation, (x: number) => number>> = {
  relu: (x) => Math.max(0, x),
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => x * (0.5 + Math.sign(x) * normalIntegral(Math.abs(x))),
  'gelu-tanh': (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
}

/** The standard normal density from 0 to x: the density at x, times x + x³/3 + x⁵/15 + …, all of whose terms are positive. */
function normalIntegral(x: number): number {
  if (x > 9) return 0.5
  let term = x
  let sum = x
  for (let n = 3; term > 2 ** -54 * sum; n += 2) {
    term *= (x * x) / n
    sum += term
  }
  return (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI)
}
