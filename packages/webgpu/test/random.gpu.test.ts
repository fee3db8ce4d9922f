import { create, globals } from 'webgpu'
import { expect, test } from 'vitest'
import { reference, toFloat64, tensor, type Tensor, type AttentionProblem, type Dtype, type TypedArray } from '@qkv/core'
import { createWebGpuBackend, type WebGpuBackend } from '@qkv/webgpu'
import { randomProblem, describeProblem } from './support/random.ts'
Object.assign(globalThis, globals)
const gpu = ((globalThis as any).keep = create(['enable-dawn-features=allow_unsafe_apis']))
async function values(backend: WebGpuBackend, t: Tensor): Promise<Float64Array> {
  const data = await backend.read(t)
  return toFloat64(tensor(data as TypedArray, t.shape, { dtype: t.dtype as Dtype }))
}
async function check(backend: WebGpuBackend, p: AttentionProblem, label: string): Promise<number> {
  const expected = reference(p, { backend: 'wgsl' })
  const { output, lse } = backend.attention(p, { lse: true })
  const out = await values(backend, output), l = await values(backend, lse!)
  output.dispose(); lse!.dispose()
  let worst = 0
  for (let i = 0; i < out.length; i++) { const r = Math.abs(out[i]! - expected.output[i]!) / expected.bound[i]!; if (!(r <= 1) && out[i] !== expected.output[i]) throw new Error(`${label}: output[${i}] ${out[i]} vs ${expected.output[i]} bound ${expected.bound[i]}: ${describeProblem(p)}`); if (r === r) worst = Math.max(worst, r) }
  for (let i = 0; i < l.length; i++) { const r = Math.abs(l[i]! - expected.lse[i]!) / expected.lseBound[i]!; if (!(r <= 1) && l[i] !== expected.lse[i]) throw new Error(`${label}: lse[${i}] ${l[i]} vs ${expected.lse[i]} bound ${expected.lseBound[i]}: ${describeProblem(p)}`); if (r === r) worst = Math.max(worst, r) }
  return worst
}
const variants: [string, object][] = [['rows', {}], ['tiles', { software: false }], ['tiles 16k', { software: false, workgroupBytes: 16384, subgroupSize: 0 }], ['tiles nosg', { software: false, subgroupSize: 0 }]]
test.each(variants)('%s', async (label, profile) => {
  const backend = await createWebGpuBackend({ gpu, profile })
  let worst = 0
  const t = performance.now()
  const from = Number(process.env.SEED ?? 1), n = Number(process.env.N ?? 60)
  for (let seed = from; seed < from + n; seed++) worst = Math.max(worst, await check(backend, randomProblem(seed), `seed ${seed}`))
  console.log(label, { worst, pipelines: backend.pipelines, ms: performance.now() - t, memory: backend.memory })
  backend.dispose()
}, 600_000)
