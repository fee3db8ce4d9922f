import { problem, reference, tensor, type AttentionProblem, type Tensor } from '@qkv/core'
import { expectWithinBound, random } from '@qkv/testing'
import type { WebGpuBackend } from '@qkv/webgpu'
import { expect, test, vi } from 'vitest'
import { testBackend, valuesOf } from './support/backend.ts'

/** Decoding from a cache with room for many keys, of which only the device knows how many there are. */
const [batch, queryHeads, keyHeads, capacity, dim] = [3, 4, 1, 400, 32]

const profiles = {
  decode: { software: false, invocations: 2 ** 15 },
  'decode, a few groups at a time': { software: false, invocations: 2 ** 15, workPerSubmission: 2 ** 17 },
  'a row per invocation': { software: true, invocations: 64 },
  tiles: { software: false, subgroupSize: 0, workgroupBytes: 16384 },
} as const

test.each(Object.entries(profiles))('%s: any lengths on the device are right, and none is read back', async (name, profile) => {
  using backend = await testBackend(profile)
  const queryLength = name === 'tiles' ? 4 : 1
  for (const lengths of [
    [0, 1, 2],
    [15, 16, 17],
    [127, 128, 129],
    [31, 33, 300],
    [399, 400, 5],
  ]) {
    const mapped = vi.spyOn(GPUBuffer.prototype, 'mapAsync')
    const held = backend.upload(tensor(Int32Array.from(lengths), [batch]))
    const [{ output, lse }, exact] = [
      backend.attention(cached(queryLength, held), { lse: true }),
      reference(cached(queryLength, tensor(Int32Array.from(lengths), [batch])), { backend: 'wgsl' }),
    ]
    await backend.flush()
    expect(mapped).not.toHaveBeenCalled()
    const token = `${name}, lengths ${lengths}`
    const shape = [batch, queryHeads, queryLength]
    const comparison = { token, backend: 'wgsl' } as const
    expectWithinBound(
      await valuesOf(backend, output),
      { values: exact.output, bound: exact.bound },
      { ...comparison, name: 'output', shape: [...shape, dim] },
    )
    expectWithinBound(
      await valuesOf(backend, lse!),
      { values: exact.lse, bound: exact.lseBound },
      { ...comparison, name: 'lse', shape },
    )
    expect(mapped, 'the output and its lse').toHaveBeenCalledTimes(2)
    mapped.mockRestore()
    for (const result of [held, output, lse]) result?.dispose()
  }
})

test('a long cache with few keys in it costs the workgroups of those keys', async () => {
  using backend = await testBackend(profiles.decode)
  const most = await groupsDispatched(backend, capacity)
  expect(await groupsDispatched(backend, capacity - 1)).toBe(most)
  expect(await groupsDispatched(backend, 129)).toBe(2 * (await groupsDispatched(backend, 128)))
  expect(await groupsDispatched(backend, 0)).toBe(await groupsDispatched(backend, 100))
  expect(await groupsDispatched(backend, 100)).toBe(most / Math.ceil(capacity / 128))
})

/** Workgroups of the one dispatch whose size the device counts, for sequences of `length` keys. */
async function groupsDispatched(backend: WebGpuBackend, length: number): Promise<number> {
  const { device } = backend
  using lengths = backend.upload(
    tensor(
      Int32Array.from({ length: batch }, () => length),
      [batch],
    ),
  )
  using output = backend.empty([batch, queryHeads, 1, dim])
  const counts = device.createBuffer({
    size: 12,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  })
  const encoder = device.createCommandEncoder()
  const sizes: GPUBuffer[] = []
  const begin = encoder.beginComputePass.bind(encoder)
  vi.spyOn(encoder, 'beginComputePass').mockImplementation(() => {
    const pass = begin()
    const dispatch = pass.dispatchWorkgroupsIndirect.bind(pass)
    vi.spyOn(pass, 'dispatchWorkgroupsIndirect').mockImplementation((size, offset) => {
      sizes.push(size)
      dispatch(size, offset)
    })
    return pass
  })
  const scratch = backend.encode(encoder, cached(1, lengths), { output })
  expect(sizes).toHaveLength(1)
  encoder.copyBufferToBuffer(sizes[0]!, 0, counts, 0, 12)
  await backend.flush()
  device.queue.submit([encoder.finish()])
  scratch[Symbol.dispose]()
  const [groups, ...others] = await valuesOf(backend, backend.fromBuffer(counts, [3], 'int32'))
  counts.destroy()
  expect(others).toEqual([1, 1])
  return groups!
}

function cached(queryLength: number, lengths: Tensor): AttentionProblem {
  const stream = random(5, 'cached')
  const floats = (...shape: number[]) =>
    tensor(
      Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => stream.normal()),
      shape,
    )
  const [query, key, value] = [
    floats(batch, queryHeads, queryLength, dim),
    floats(batch, keyHeads, capacity, dim),
    floats(batch, keyHeads, capacity, dim),
  ]
  return problem(query, key, value, { lengths, causal: true })
}
