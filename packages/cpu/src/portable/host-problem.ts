import type { AttentionProblem, HostTensor, Tensor } from '@qkv/core'
import { hostView } from '../memory/storage.ts'

type Hosted<T> = T extends Tensor ? HostTensor : T

/** A problem whose every tensor is over a typed array. */
export type HostProblem = { readonly [Part in keyof AttentionProblem]: Hosted<AttentionProblem[Part]> }

/** The problem as it lies in memory now; see {@link hostView}. */
export function hostProblem(problem: AttentionProblem): HostProblem {
  const { query, key, value, bias, mask, sinks, lengths, keyScales, valueScales } = problem
  return {
    ...problem,
    query: hostView(query),
    key: hostView(key),
    value: hostView(value),
    bias: bias && hostView(bias),
    mask: mask && hostView(mask),
    sinks: sinks && hostView(sinks),
    lengths: lengths && hostView(lengths),
    keyScales: keyScales && hostView(keyScales),
    valueScales: valueScales && hostView(valueScales),
  }
}
