import { reference, referenceGradient, tensor, toFloat64, type Bounded, type Tensor } from '@qkv/core'
import { compare, randomProblem } from '@qkv/testing'
import { createWebGpuBackend, type WebGpuBackend, type WebGpuOptions } from '@qkv/webgpu'
import { wholeNumbers } from './whole-numbers.ts'

async function valuesOf(backend: WebGpuBackend, view: Tensor): Promise<Float64Array> {
  return toFloat64(tensor(await backend.read(view), view.shape, { dtype: view.dtype }))
}

/** The error of each random problem's output, in shares of its bound, on a device that is said to be as `profile` says. */
async function worstErrors(profile: WebGpuOptions['profile'], tokens: readonly string[]): Promise<number[]> {
  using backend = await createWebGpuBackend({ profile, patience: 600_000 })
  const errors: number[] = []
  for (const token of tokens) {
    const { problem } = randomProblem(token)
    using output = backend.attention(problem).output
    const exact = reference(problem, { backend: 'wgsl' })
    errors.push(compare(await valuesOf(backend, output), { values: exact.output, bound: exact.bound }, 'wgsl').worstRatio)
  }
  return errors
}

/** The same of the worst of its gradients. */
async function worstGradientErrors(profile: WebGpuOptions['profile'], tokens: readonly string[]): Promise<number[]> {
  using backend = await createWebGpuBackend({ profile, patience: 600_000 })
  const errors: number[] = []
  for (const token of tokens) {
    const { problem, dOutput } = randomProblem(token)
    const exact = referenceGradient(problem, dOutput, { backend: 'wgsl' })
    const { output, lse } = backend.attention(problem, { lse: true })
    if (lse === undefined) throw new Error('lse was asked for')
    const { dQuery, dKey, dValue } = backend.attentionGradient(problem, { output, lse }, dOutput)
    const errorOf = async (actual: Tensor, expected: Bounded): Promise<number> =>
      compare(await valuesOf(backend, actual), expected, 'wgsl').worstRatio
    const parts = [errorOf(dQuery, exact.dQuery), errorOf(dKey, exact.dKey), errorOf(dValue, exact.dValue)]
    errors.push(Math.max(...(await Promise.all(parts))))
  }
  return errors
}

/** What layers make of whole numbers, of which nothing is rounded. */
async function layersOf(rows: number, dim: number) {
  using backend = await createWebGpuBackend({ patience: 600_000 })
  const vectors = tensor(wholeNumbers(rows * dim), [1, 1, rows, dim])
  const values = async (view: Tensor): Promise<number[]> => [...(await valuesOf(backend, view))]
  const quarterTurn = { cos: tensor([0], [1, 1, 1, 1]), sin: tensor([1], [1, 1, 1, 1]), layout: 'half', dim } as const
  const [codes, scales] = [backend.empty([1, 1, rows, dim], 'int8'), backend.empty([1, 1, rows, 1])]
  backend.quantize(vectors, codes, scales)
  return {
    multiplied: await values(backend.linear(vectors, tensor(wholeNumbers(3 * dim), [3, dim]))),
    rotated: await values(backend.rotate(vectors, quarterTurn)),
    codes: await values(codes),
    scales: await values(scales),
  }
}

Object.assign(globalThis, { worstErrors, worstGradientErrors, layersOf })
