import { reference, tensor, toFloat64, type AttentionProblem, type Tensor } from '@qkv/core'
import { expectWithinBound, type Agreement } from '@qkv/testing'
import { softwareGpu } from '@qkv/testing/software-gpu'
import { createWebGpuBackend, type WebGpuBackend, type WebGpuOptions } from '@qkv/webgpu'

/** A backend on the software adapter that believes what `profile` says of its device. */
export function testBackend(profile: WebGpuOptions['profile'] = {}): Promise<WebGpuBackend> {
  return createWebGpuBackend({ gpu: softwareGpu(), profile, patience: 600_000 }) // software drivers compile for long
}

/** Row-major values of a tensor of the backend's. */
export async function valuesOf(backend: WebGpuBackend, view: Tensor): Promise<Float64Array> {
  return toFloat64(tensor(await backend.read(view), view.shape, { dtype: view.dtype }))
}

/** Compares a backend’s output and lse with the reference’s bound for WGSL; `asked` is the problem with tensors of the backend. */
export async function expectAttention(
  backend: WebGpuBackend,
  problem: AttentionProblem,
  token: string,
  asked: AttentionProblem = problem,
): Promise<Agreement> {
  const exact = reference(problem, { backend: 'wgsl' })
  const { output, lse } = backend.attention(asked, { lse: true })
  if (lse === undefined) throw new Error('lse was asked for')
  const [outputs, sums] = [await valuesOf(backend, output), await valuesOf(backend, lse)]
  const comparison = { token, backend: 'wgsl' } as const
  output.dispose()
  lse.dispose()
  expectWithinBound(sums, { values: exact.lse, bound: exact.lseBound }, { ...comparison, name: 'lse', shape: lse.shape })
  return expectWithinBound(
    outputs,
    { values: exact.output, bound: exact.bound },
    { ...comparison, name: 'output', shape: output.shape },
  )
}
