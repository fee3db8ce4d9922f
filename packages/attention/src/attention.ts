import type { AttentionProblem, AttentionResult, Backend, ProblemOptions, Tensor, Watch } from '@qkv/core'
import type { PositionOptions } from './positions.ts'
import { prepare } from './prepare.ts'

export interface AttentionOptions extends ProblemOptions, PositionOptions, Watch {
  /** What computes: a backend of @qkv/cpu, @qkv/webgpu or `createBackend()` of `@qkv/attention/auto`. */
  readonly backend: Backend
  /** Also return the log-sum-exp of each row. */
  readonly lse?: boolean | undefined
}

/**
 * softmax(scale · query · keyᵀ) · value, exactly, in memory that does not grow with queryLength · keyLength.
 *
 *     const { output } = await attention(query, key, value, { backend, causal: true })
 *     await backend.read(output)
 *
 * @param query [batch, queryHeads, queryLength, headDim], any strides: `splitHeads()` views a projection's output so
 * @param key [batch, keyHeads, keyLength, headDim]; queryHeads is a multiple of keyHeads
 * @param value [batch, keyHeads, keyLength, valueDim]
 * @returns output [batch, queryHeads, queryLength, valueDim] in the query's dtype, owned by the caller, in the backend's memory.
 * @throws QkvError naming the argument, what was expected and what came; `ABORTED` when `signal` aborts.
 */
export async function attention(query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions): Promise<AttentionResult> {
  const prepared = await prepare('attention', query, key, value, options)
  try {
    return await compute(prepared.problem, options)
  } finally {
    prepared.dispose()
  }
}

/** At once, or in steps where someone watches. */
export async function compute(
  problem: AttentionProblem,
  { backend, lse, signal, onProgress }: AttentionOptions,
): Promise<AttentionResult> {
  if (signal === undefined && onProgress === undefined) return backend.attention(problem, { lse })
  return backend.attentionInSteps(problem, { lse, signal, onProgress })
}
