import type { AttentionCase } from '../../cases/case.ts'
import { headGradient } from './head-gradient.ts'
import type { Sample } from './sample.ts'

/** The gradients of the last head, whole, since every key's depends on every query. */
export function* gradientSamples(bench: AttentionCase, result: Float32Array): Generator<Sample> {
  const exact = headGradient(bench)
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim } = bench
  let end = 0
  for (const [part, size] of [
    [exact.dQuery, batch * queryHeads * queryLength * headDim],
    [exact.dKey, batch * keyHeads * keyLength * headDim],
    [exact.dValue, batch * keyHeads * keyLength * valueDim],
  ] as const) {
    end += size
    const start = end - part.values.length
    for (let i = 0; i < part.values.length; i++) {
      yield { actual: result[start + i] ?? NaN, exact: part.values[i]!, bound: part.bound[i]! }
    }
  }
}
