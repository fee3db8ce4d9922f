import { describe, permute, type AttentionResult, type Backend, type Tensor } from '@qkv/core'
import { attention, type AttentionOptions } from '../attention.ts'
import { checkBackend, checkShape, invalid, refused } from '../refuse.ts'
import { withTemporaries, type Temporaries } from '../temporaries.ts'

export interface KeysAndValues {
  /** [batch, keyHeads, length, headDim] */
  readonly key: Tensor
  /** [batch, keyHeads, length, valueDim] */
  readonly value: Tensor
}

/** What acts alike on both parts, or belongs to the sequences' own keys: causality, lengths, sinks. */
export type CascadeOptions = Pick<AttentionOptions, 'backend' | 'scale' | 'softcap' | 'causal' | 'lengths' | 'sinks' | 'signal'>

/**
 * Attention of many sequences that begin alike: to the prefix they share, whose keys are stored and read once for all of
 * them, and to their own keys after it, merged by their log-sum-exps. As if each had its own copy of the prefix.
 *
 *     const { output } = await cascadeAttention(query, systemPrompt, { key, value }, { backend, causal: true })
 *
 * The prefix's part is one attention with all sequences' queries as its rows: a decode over many sequences becomes a
 * prefill (Juravsky et al., Hydragen, 2024, arXiv:2402.05099).
 *
 * @param query [batch, queryHeads, queryLength, headDim]
 * @param prefix keys and values with a batch of 1; rotate them at positions from 0, as usual
 * @param own each sequence's keys and values after the prefix; `lengths` says how many of them are valid
 * @returns output and lse, [batch, queryHeads, queryLength, valueDim] and [batch, queryHeads, queryLength]
 * @throws QkvError as {@link attention} does; `OPTION_INVALID` for its other options, by name.
 */
export async function cascadeAttention(
  query: Tensor,
  prefix: KeysAndValues,
  own: KeysAndValues,
  options: CascadeOptions,
): Promise<AttentionResult> {
  const { backend, scale, softcap, causal, lengths, sinks, signal, ...others } = options
  checkBackend('cascadeAttention', backend)
  for (const [name, given] of Object.entries(others)) {
    if (given !== undefined)
      throw invalid('cascadeAttention', name, 'absent, for it would not act alike on both parts', describe(given))
  }
  checkShape('cascadeAttention', 'query', query.shape, [-1, -1, -1, -1])
  checkShape('cascadeAttention', 'prefix.key', prefix.key.shape, [1, own.key.shape[1] ?? 0, -1, query.shape[3] ?? 0])
  checkShape('cascadeAttention', 'prefix.value', prefix.value.shape, [
    1,
    own.key.shape[1] ?? 0,
    prefix.key.shape[2] ?? 0,
    own.value.shape[3] ?? 0,
  ])
  const [batch = 0, , queryLength = 0] = query.shape
  return withTemporaries(async (scope) => {
    const rows = sequencesAsRows(backend, query, scope)
    const shared = await partial(rows, prefix, { backend, scale, softcap, signal }, scope)
    const after = await partial(query, own, { backend, scale, softcap, causal, lengths, sinks, signal }, scope)
    const rowsOfSequences = {
      output: rowsAsSequences(shared.output, batch, queryLength),
      lse: rowsAsSequences(shared.lse, batch, queryLength),
    }
    return backend.merge([after, rowsOfSequences])
  })
}

async function partial(
  query: Tensor,
  { key, value }: KeysAndValues,
  options: AttentionOptions,
  scope: Temporaries,
): Promise<{ output: Tensor; lse: Tensor }> {
  const { output, lse } = await attention(query, key, value, { ...options, lse: true })
  scope.keep(output)
  if (lse === undefined) throw refused('INTERNAL', 'cascadeAttention', 'lse', 'what was asked of the backend', 'undefined')
  return { output, lse: scope.keep(lse) }
}

/** [batch, heads, length, dim] as [1, heads, batch·length, dim]: a view where sequences follow one another, else a copy. */
function sequencesAsRows(backend: Backend, view: Tensor, scope: Temporaries): Tensor {
  const [batch = 0, heads = 0, length = 0, dim = 0] = view.shape
  const follows = length === 1 || view.strides[0] === length * (view.strides[2] ?? 0)
  const ordered = follows ? view : permute(scope.keep(backend.empty([batch, length, heads, dim], view.dtype)), [0, 2, 1, 3])
  if (!follows) backend.copy(view, ordered)
  const [batchStride = 0, headStride = 0, lengthStride = 0, dimStride = 0] = ordered.strides
  const rowStride = length === 1 ? batchStride : lengthStride
  return { ...ordered, shape: [1, heads, batch * length, dim], strides: [0, headStride, rowStride, dimStride] }
}

/** [1, heads, batch·length, …] as [batch, heads, length, …]. */
function rowsAsSequences({ shape, strides, dtype, offset, storage }: Tensor, batch: number, length: number): Tensor {
  const [, heads = 0, , ...rest] = shape
  const [, headStride = 0, rowStride = 0, ...restStrides] = strides
  return {
    dtype,
    offset,
    storage,
    shape: [batch, heads, length, ...rest],
    strides: [length * rowStride, headStride, rowStride, ...restStrides],
  }
}
