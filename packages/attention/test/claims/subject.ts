import {
  isHostTensor,
  reference,
  tensor,
  toFloat64,
  problem,
  type AttentionResult,
  type Backend,
  type HostTensor,
  type Platform,
  type ProblemOptions,
  type Tensor,
} from '@qkv/core'
import { expectWithinBound, random } from '@qkv/testing'
import { expect } from 'vitest'

/** The backend that claims are made about. */
export interface Subject {
  readonly backend: Backend
  /** Whose arithmetic error bounds are for. */
  readonly platform: Platform
}

/** Normally distributed numbers, the same for the same name. */
export function normal(name: string, shape: readonly number[], deviation = 1): HostTensor {
  const stream = random(7, name)
  const count = shape.reduce((product, size) => product * size, 1)
  return tensor(
    Float32Array.from({ length: count }, () => deviation * stream.normal()),
    shape,
  )
}

/** Row-major values of a tensor, wherever it lives. */
export async function valuesOf({ backend }: Subject, view: Tensor): Promise<Float64Array> {
  return toFloat64(await home({ backend }, view))
}

export async function home({ backend }: Pick<Subject, 'backend'>, view: Tensor): Promise<HostTensor> {
  return isHostTensor(view) ? view : tensor(await backend.read(view), view.shape, { dtype: view.dtype })
}

/** Awaits a result, reads it and gives it back. */
export async function outputOf(subject: Subject, result: Promise<AttentionResult> | AttentionResult): Promise<Float64Array> {
  const { output, lse } = await result
  const values = await valuesOf(subject, output)
  output.dispose()
  lse?.dispose()
  return values
}

/** Compares an output with attention as the reference has it. */
export function expectReference(
  { platform }: Subject,
  actual: ArrayLike<number>,
  q: HostTensor,
  k: HostTensor,
  v: HostTensor,
  options: ProblemOptions,
  name = 'output',
): void {
  const asked = problem(q, k, v, options)
  const exact = reference(asked, { backend: platform })
  expectWithinBound(
    actual,
    { values: exact.output, bound: exact.bound },
    {
      name,
      backend: platform,
      token: name,
      shape: [asked.batch, asked.queryHeads, asked.queryLength, asked.valueDim],
    },
  )
}

/**
 * For two ways to the same attention where neither has a bound at hand: encodings that read queries and keys, and PyTorch's steps.
 * Errors seen of sums about 1 are below 3e-6; what is forgotten or misplaced shows as 1e-2 or more.
 */
export function expectAlike(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length)
  const worst = Array.from(actual).reduce((most, element, index) => Math.max(most, Math.abs(element - expected[index]!)), 0)
  expect(worst).toBeLessThan(2e-5)
}

/** How many tensors, or buffers of tensors, a backend holds once all it was asked for is under way. */
export async function tensorsHeld({ backend }: Pick<Subject, 'backend'>): Promise<number> {
  if ('flush' in backend && typeof backend.flush === 'function') await backend.flush()
  if (!('memory' in backend)) throw new Error('a backend that tells what it holds')
  const memory: unknown = typeof backend.memory === 'function' ? backend.memory() : backend.memory
  const { tensors, buffers } = memory as { tensors?: number; buffers?: number }
  const held = tensors ?? buffers
  if (held === undefined) throw new Error('a backend that tells what it holds')
  return held
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((sum, element, index) => sum + element * b[index]!, 0)
}
