import {
  toFloat64,
  tensor,
  type AttentionGradient,
  type AttentionProblem,
  type AttentionResult,
  type Backend,
  type Platform,
  type Reference,
  type Tensor,
} from '@qkv/core'
import { afterAll, beforeAll, expect } from 'vitest'
import type { Limits } from '../draw-token.ts'
import { expectWithinBound, type Agreement } from '../within-bound.ts'

/** What is tested, and how much. The claims are the same for every backend. */
export interface Suite {
  readonly makeBackend: () => Promise<Backend> | Backend
  /** Whose arithmetic the bounds are for; default `'cpu'`. */
  readonly platform?: Platform | undefined
  /** Multiplies the number of random problems; default 1. The environment's QKV_PROBLEMS multiplies it again. */
  readonly share?: number | undefined
  /** Of how many kinds the cases of a layer operation are: for backends that compile something for each kind. Default: all differ. */
  readonly kinds?: number | undefined
  /** What random problems may be like. */
  readonly limits?: Limits | undefined
  /** How many tensors the backend holds: none may be left when the tests are done. */
  readonly liveTensors?: ((backend: Backend) => number) | undefined
}

/** The suite's backend, made before its tests and disposed after them. */
export function heldBackend({ makeBackend, liveTensors }: Suite): () => Backend {
  let backend: Backend | undefined
  beforeAll(async () => {
    backend = await makeBackend()
  })
  afterAll(() => {
    if (backend !== undefined && liveTensors !== undefined) expect(liveTensors(backend), 'tensors left').toBe(0)
    backend?.dispose()
  })
  return () => {
    if (backend === undefined) throw new Error('the backend is made when tests run')
    return backend
  }
}

/** How many random problems: `count` by default. */
export function problemCount({ share = 1 }: Pick<Suite, 'share'>, count: number): number {
  return Math.ceil(count * share * Number(process.env['QKV_PROBLEMS'] ?? 1))
}

/** The token of the one problem to replay, where the environment's QKV_TOKEN gives one that starts so. */
export function replayedToken(start: string): string | undefined {
  const token = process.env['QKV_TOKEN']
  return token?.startsWith(start) ? token : undefined
}

/** The elements of a tensor, which is disposed of. */
export async function take(backend: Backend, result: Tensor & { dispose?(): void }): Promise<Float64Array> {
  const values = toFloat64(tensor(await backend.read(result), result.shape, { dtype: result.dtype }))
  result.dispose?.()
  return values
}

export interface TakenResult {
  readonly output: Float64Array
  readonly lse: Float64Array
}

export async function takeAttention(backend: Backend, problem: AttentionProblem): Promise<TakenResult> {
  return takeResult(backend, backend.attention(problem, { lse: true }))
}

export async function takeResult(backend: Backend, { output, lse }: AttentionResult): Promise<TakenResult> {
  if (lse === undefined) throw new Error('there is no lse')
  return { output: await take(backend, output), lse: await take(backend, lse) }
}

/** @throws unless both output and lse lie within the reference's bounds. */
export function expectAttention(
  actual: TakenResult,
  { batch, queryHeads, queryLength, valueDim }: AttentionProblem,
  expected: Reference,
  token: string,
  backend: Platform = 'cpu',
): Agreement {
  const shape = [batch, queryHeads, queryLength, valueDim]
  const lse = { values: expected.lse, bound: expected.lseBound }
  expectWithinBound(actual.lse, lse, { name: 'lse', shape: shape.slice(0, 3), token, backend })
  return expectWithinBound(
    actual.output,
    { values: expected.output, bound: expected.bound },
    { name: 'output', shape, token, backend },
  )
}

/** Disposes of a gradient's tensors, all but those in `kept`. */
export function disposeGradient({ dQuery, dKey, dValue, dBias, dSinks, captured }: AttentionGradient): void {
  for (const part of [dQuery, dKey, dValue, dBias, dSinks, ...captured.values()]) part?.dispose()
}
