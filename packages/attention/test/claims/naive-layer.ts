import { toFloat64, type Bounded, type HostTensor, type Platform, type ProblemOptions } from '@qkv/core'
import * as estimate from '@qkv/core/estimate'
import type { MultiHeadAttentionOptions, MultiHeadConfig } from '@qkv/attention'
import {
  attended,
  boundedOf,
  exactRows,
  linear,
  matrixOf,
  normalised,
  rowsOf,
  sigmoid,
  type EstimatedRows,
  type Estimates,
} from './estimates.ts'

/**
 * A layer written out in float64 from the formulas, one vector at a time: projections, norms, attention, gate. With each number
 * comes how far float32 kernels may be off.
 */
export function naiveLayer(
  input: HostTensor,
  memory: HostTensor,
  config: MultiHeadConfig,
  options: Omit<MultiHeadAttentionOptions, 'backend'> & Pick<ProblemOptions, 'mask'>,
  state: Record<string, HostTensor>,
  platform: Platform = 'cpu',
): Bounded {
  const { heads, kvHeads, headDim, valueDim, queryKeyNorm, gate } = config
  const arithmetic = estimate.platforms[platform]
  const weight = (name: string): number[][] | undefined => state[name] && [...matrixOf(state[name])]
  const numbers = (name: string): Float64Array | undefined => state[name] && toFloat64(state[name])
  const project = (name: string, from: EstimatedRows): EstimatedRows => {
    const [rows, bias] = [weight(`${name}.weight`)!, numbers(`${name}.bias`)]
    return from.map((vector) => linear(vector, rows, bias, arithmetic))
  }
  const sizes = { query: heads * headDim, key: kvHeads * headDim, value: kvHeads * valueDim }
  const starts = { query: 0, key: sizes.query, value: sizes.query + sizes.key }
  const part = (name: 'query' | 'key' | 'value', from: EstimatedRows): EstimatedRows =>
    config.fused
      ? project('queryKeyValue', from).map((vector) => vector.slice(starts[name], starts[name] + sizes[name]))
      : project(name, from)
  const withNorm = (name: 'queryNorm' | 'keyNorm', projected: EstimatedRows): EstimatedRows => {
    if (!queryKeyNorm) return projected
    const own = { ...queryKeyNorm, weight: numbers(`${name}.weight`)!, bias: numbers(`${name}.bias`) }
    const each = (vector: Estimates): Estimates => normalised(vector, own, arithmetic)
    return projected.map((vector) => (queryKeyNorm.over === 'heads' ? each(vector) : rowsOf(vector, headDim).flatMap(each)))
  }

  const self = input === memory ? options : undefined
  const asked = {
    scale: options.scale,
    softcap: options.softcap,
    sinks: state['sinks'],
    causal: self?.causal,
    window: self?.window,
    mask: self?.mask,
    encodings: [self?.position ?? []].flat().filter((each) => each.kind !== 'embedding'),
  }
  const [batch = 0] = input.shape
  const rows = Array.from({ length: batch }, (_, b) => {
    const [x, y] = [exactRows(input, b), exactRows(memory, b)]
    const query = withNorm('queryNorm', part('query', x))
    const key = withNorm('keyNorm', part('key', y))
    const joined = attended({ query, key, value: part('value', y), heads, kvHeads }, asked, platform)
    const gates = gate && project('gate', x)
    const opened = joined.map((row, i) =>
      row.map((element, c) => {
        if (!gates) return element
        return estimate.multiply(
          element,
          sigmoid(gates[i]![gate === 'head' ? Math.floor(c / valueDim) : c]!, arithmetic),
          arithmetic,
        )
      }),
    )
    return project('output', opened)
  })
  return boundedOf(rows.flat())
}
