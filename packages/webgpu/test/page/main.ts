import { reference, referenceGradient, slice, tensor, toFloat64, type AttentionProblem, type Bounded, type Tensor } from '@qkv/core'
import { compare, randomProblem } from '@qkv/testing'
import { createWebGpuBackend, type WebGpuBackend, type WebGpuOptions } from '@qkv/webgpu'
import { layerCase, type LayerResults } from './layer-cases.ts'

type Profile = WebGpuOptions['profile']

async function valuesOf(backend: WebGpuBackend, view: Tensor): Promise<Float64Array> {
  return toFloat64(tensor(await backend.read(view), view.shape, { dtype: view.dtype }))
}

/** The error of each random problem's output, in shares of its bound, on a device that is said to be as `profile` says. */
async function worstErrors(profile: Profile, tokens: readonly string[], fromCache = false): Promise<number[]> {
  using backend = await createWebGpuBackend({ profile, patience: 600_000 })
  const errors: number[] = []
  for (const token of tokens) {
    const { problem } = randomProblem(token)
    using output = backend.attention(fromCache ? cached(backend, problem) : problem).output
    const exact = reference(problem, { backend: 'wgsl' })
    errors.push(compare(await valuesOf(backend, output), { values: exact.output, bound: exact.bound }, 'wgsl').worstRatio)
  }
  return errors
}

/** The problem with keys and values in the middle of longer memory on the device. */
function cached(backend: WebGpuBackend, problem: AttentionProblem): AttentionProblem {
  const taken = (view: Tensor): Tensor => {
    const [batch = 0, heads = 0, length = 0, dim = 0] = view.shape
    const room = slice(backend.empty([batch, heads, length + 5, dim], view.dtype), 2, 3, length + 3)
    backend.copy(view, room)
    return room
  }
  return { ...problem, key: taken(problem.key), value: taken(problem.value) }
}

/** The same of the worst of its gradients. */
async function worstGradientErrors(profile: Profile, tokens: readonly string[]): Promise<number[]> {
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

/** What layer operations make of the first `count` cases. */
async function layerResults(profile: Profile, count: number): Promise<LayerResults[]> {
  using backend = await createWebGpuBackend({ profile, patience: 600_000 })
  const values = async (view: Tensor): Promise<number[]> => [...(await valuesOf(backend, view))]
  const results: LayerResults[] = []
  for (let number = 0; number < count; number++) {
    const { rows, inputs, input, weight, bias, scale, cos, sin } = layerCase(number)
    const [codes, scales] = [backend.empty([1, 2, rows, inputs], 'int8'), backend.empty([1, 2, rows, 1])]
    backend.quantize(input, codes, scales)
    const multiplied = backend.linear(input, weight, bias)
    results.push({
      multiplied: await values(multiplied),
      normalised: await values(backend.rmsNorm(input, scale, 1e-5)),
      activated: await values(backend.activate(multiplied, 'relu')),
      rotated: await values(backend.rotate(input, { cos, sin, layout: 'half', dim: inputs })),
      codes: await values(codes),
      scales: await values(scales),
    })
  }
  return results
}

Object.assign(globalThis, { worstErrors, worstGradientErrors, layerResults })
