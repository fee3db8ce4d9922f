import { failingGpu } from '@qkv/testing/failing-gpu'
import { expect, test } from 'vitest'
import type { Kernel, LazyKernel } from './kernel.ts'
import { PipelineCache } from './pipeline-cache.ts'

const kernel: Kernel<object> = {
  name: 'double',
  interface: () => ({
    parameters: {},
    buffers: { input: { type: 'array<f32>', access: 'read' }, output: { type: 'array<f32>', access: 'read_write' } },
  }),
  code: () => '',
}
const announced = (name: string, ...writes: string[]): LazyKernel<object> => ({
  name,
  writes,
  load: () => Promise.resolve(kernel),
})

test('a kernel that is loaded is compiled once, and writes what was announced', async () => {
  const cache = new PipelineCache(failingGpu().device)
  const compiled = cache.get(announced('double', 'output'), {})
  expect(compiled.writes).toEqual(['output'])
  await compiled.ready
  expect(compiled.now().kernel).toEqual(kernel.interface({}))
  expect(cache.get(announced('double', 'output'), {})).toBe(compiled)
  expect(cache.size).toBe(1)
})

test.each([
  ['other buffers than it writes', announced('double', 'input')],
  ['fewer buffers', announced('double')],
  ['more buffers', announced('double', 'output', 'lse')],
  ['another name', announced('twice', 'output')],
])('a kernel announced with %s is refused once it is loaded', async (_, lazy) => {
  const { ready } = new PipelineCache(failingGpu().device).get(lazy, {})
  await expect(ready).rejects.toMatchObject({ code: 'INTERNAL', argument: 'lazy kernel' })
})
