import { attention } from '@qkv/attention'
import { problem, reference, tensor, type Backend, type HostTensor, type Reference, type ScoreMod } from '@qkv/core'
import type { SelfCheck } from './engine.ts'

export type Operands = readonly [query: HostTensor, key: HostTensor, value: HostTensor]

export interface CheckOptions {
  readonly causal?: boolean
  readonly score?: ScoreMod | undefined
}

/** Attention over vectors that are drawn anew for each visit, on the backend and in float64, compared by the error bound. */
export function selfCheck(backend: Backend): Promise<SelfCheck> {
  return compared(backend, drawn([1, 4, 128, 32]), { causal: true })
}

/** One attention on the backend and in float64. */
export async function compared(backend: Backend, [query, key, value]: Operands, options: CheckOptions): Promise<SelfCheck> {
  const platform = backend.name === 'webgpu' ? 'wgsl' : 'cpu'
  const exact = reference(problem(query, key, value, options), { backend: platform })
  const compute = async (): Promise<ArrayLike<number>> => {
    const { output } = await attention(query, key, value, { backend, ...options })
    using computed = output
    return Float32Array.from(await backend.read(computed))
  }
  // The first call also compiles and warms up.
  const actual = await compute()
  const start = performance.now()
  await compute()
  const milliseconds = performance.now() - start
  const errors = absoluteErrors(exact, actual)
  const [, heads = 1, tokens = 1] = query.shape
  return {
    problem: `${heads} ${heads === 1 ? 'head' : 'heads'}, ${tokens} tokens${options.causal ? ', causal' : ''}`,
    elements: errors.length,
    largestError: Math.max(...errors),
    shareOfBound: shareOfBound(exact, actual),
    milliseconds,
  }
}

/** The largest error as a part of the bound of its element: over 1 where rounding does not explain it. */
export function shareOfBound(exact: Reference, actual: ArrayLike<number>): number {
  const shares = absoluteErrors(exact, actual).map((error, index) => (error === 0 ? 0 : error / (exact.bound[index] ?? 0)))
  return Math.max(...shares)
}

function absoluteErrors(exact: Reference, actual: ArrayLike<number>): number[] {
  return Array.from(exact.output, (expected, index) => Math.abs((actual[index] ?? NaN) - expected))
}

/** Queries, keys and values of a shape, between −2 and 2. */
export function drawn(shape: readonly number[]): Operands {
  const count = shape.reduce((product, size) => product * size, 1)
  const draw = (): HostTensor =>
    tensor(
      Float32Array.from({ length: count }, () => 4 * Math.random() - 2),
      shape,
    )
  return [draw(), draw(), draw()]
}
