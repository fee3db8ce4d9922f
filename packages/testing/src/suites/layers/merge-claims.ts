import { toFloat64, type HostPartial } from '@qkv/core'
import { accumulated, add, divide, exact, exp, log, multiply, platforms, subtract, type Estimate } from '@qkv/core/estimate'
import { rowsOf } from './case.ts'
import type { LayerChecks } from './checks.ts'
import { estimate } from './estimate.ts'

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
    const merging = Array.from({ length: rowsOf(rows) }, (_, row) => mergingOf(logs.map((log) => log[row]!)))
    const expected = estimate(merging.length * dim, (index) => {
      const { weights, total } = merging[Math.floor(index / dim)]!
      const terms = weights.map(({ part, weight }) => multiply(weight, exact(outputs[part]![index]!), arithmetic))
      return terms.length === 0 ? exact(0) : divide(sum(terms), total, arithmetic)
    })
    await expectClose(merged.output, expected, current)
    await expectClose(
      merged.lse!,
      estimate(merging.length, (row) => merging[row]!.lse),
      current,
    )
  })
}

const arithmetic = platforms.cpu

/** How one row's parts are merged. */
interface Merging {
  /** Of the parts that have seen a key, e^(lse − M). */
  readonly weights: readonly { readonly part: number; readonly weight: Estimate }[]
  readonly total: Estimate
  /** M + log Σ e^(lse − M), with the greatest lse M. */
  readonly lse: Estimate
}

function mergingOf(logs: readonly number[]): Merging {
  const greatest = exact(Math.max(...logs))
  const weights = logs.flatMap((log, part) =>
    log === -Infinity ? [] : [{ part, weight: exp(subtract(exact(log), greatest, arithmetic), arithmetic) }],
  )
  const total = sum(weights.map(({ weight }) => weight))
  return { weights, total, lse: weights.length === 0 ? greatest : add(greatest, log(total, arithmetic), arithmetic) }
}

/** In whatever order. */
function sum(terms: readonly Estimate[]): Estimate {
  const value = terms.reduce((sum, term) => sum + term.value, 0)
  const passedOn = terms.reduce((sum, term) => sum + term.error, 0)
  const magnitude = terms.reduce((sum, term) => sum + Math.abs(term.value) + term.error, 0)
  return { value, error: passedOn + accumulated(terms.length, arithmetic) * magnitude }
}
