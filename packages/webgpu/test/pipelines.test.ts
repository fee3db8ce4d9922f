import { mergeHeads, problem, slice, splitHeads, zeros, type OwnedTensor, type Tensor } from '@qkv/core'
import { failingGpu } from '@qkv/testing/failing-gpu'
import { createWebGpuBackend, type WebGpuBackend } from '@qkv/webgpu'
import { expect, test } from 'vitest'

const [heads, keyHeads, dim, capacity] = [8, 2, 64, 4096]
const [width, keyWidth, hiddenWidth] = [heads * dim, keyHeads * dim, 1024]

/** Tokens that come together: prompts, and one by one, over so few keys that one workgroup has them, and over many. */
const chunks = [37, 1, 1, 64, ...new Array<number>(40).fill(1), 900, 1, 1, 1000, 1, 1, 1]

interface Cache {
  readonly key: Tensor
  readonly value: Tensor
}

/** Rotates, takes in and attends: [1, tokens, width] and twice [1, tokens, keyWidth] to [1, tokens, width]. */
function attend(
  backend: WebGpuBackend,
  [query, key, value]: readonly [Tensor, Tensor, Tensor],
  cache: Cache,
  held: number,
): Tensor {
  const tokens = query.shape[1] ?? 0
  const table = { cos: zeros([1, 1, tokens, dim / 2]), sin: zeros([1, 1, tokens, dim / 2]), layout: 'half', dim } as const
  const rotated = (vectors: Tensor, count: number): OwnedTensor => backend.rotate(splitHeads(vectors, count), table)
  const upTo = (view: Tensor): Tensor => slice(view, 2, 0, held + tokens)
  backend.copy(rotated(key, keyHeads), slice(cache.key, 2, held, held + tokens))
  backend.copy(splitHeads(value, keyHeads), slice(cache.value, 2, held, held + tokens))
  const asked = problem(rotated(query, heads), upTo(cache.key), upTo(cache.value), { causal: true })
  return mergeHeads(backend.attention(asked).output)
}

/** A layer of a decoder of Llama's kind around {@link attend}. */
function layer(backend: WebGpuBackend, tokens: number, cache: Cache, held: number): void {
  const weight = (outputs: number, inputs: number): Tensor => backend.upload(zeros([outputs, inputs]))
  const input = backend.gather(weight(100, width), zeros([1, tokens], 'int32'))
  const scale = backend.upload(zeros([width]))
  const normed = backend.rmsNorm(input, scale, 1e-5)
  const projected = [width, keyWidth, keyWidth].map((outputs) => backend.linear(normed, weight(outputs, width)))
  const [query = input, key = input, value = input] = projected
  const attended = backend.linear(attend(backend, [query, key, value], cache, held), weight(width, width))
  const joined = backend.add(input, attended)
  const again = backend.rmsNorm(joined, scale, 1e-5)
  const gate = backend.activate(backend.linear(again, weight(hiddenWidth, width)), 'silu')
  const raised = backend.multiply(gate, backend.linear(again, weight(hiddenWidth, width)))
  backend.add(joined, backend.linear(raised, weight(width, hiddenWidth)))
}

/** How many pipelines there are of each kernel once all chunks went through `step`. */
async function pipelinesOf(step: (backend: WebGpuBackend, tokens: number, cache: Cache, held: number) => unknown) {
  const { device } = failingGpu()
  const { createComputePipelineAsync } = device
  const kernels: Record<string, number> = {}
  device.createComputePipelineAsync = (descriptor) => {
    const { label = '' } = descriptor
    kernels[label] = (kernels[label] ?? 0) + 1
    return createComputePipelineAsync(descriptor)
  }
  const profile = { software: false, subgroupSize: 32, workgroupBytes: 32768, invocations: 2 ** 15 }
  using backend = await createWebGpuBackend({ device, profile })
  const cache = { key: backend.empty([1, keyHeads, capacity, dim]), value: backend.empty([1, keyHeads, capacity, dim]) }
  let held = 0
  for (const tokens of chunks) {
    step(backend, tokens, cache, held)
    held += tokens
    await backend.flush()
  }
  return { count: backend.pipelines, kernels }
}

test('a decoder attends with six pipelines, from its first prompt to thousands of tokens', async () => {
  const { count, kernels } = await pipelinesOf((backend, tokens, cache, held) => {
    const vectors = (columns: number): Tensor => backend.upload(zeros([1, tokens, columns]))
    attend(backend, [vectors(width), vectors(keyWidth), vectors(keyWidth)], cache, held)
  })
  const copies = { elementwise: 2 } // into the cache, of keys that were turned and of values as they were projected
  expect(kernels).toEqual({ rotate: 1, ...copies, prefill: 1, decode: 1, merge: 1 })
  expect(count).toBe(6)
})

test('the layers around attention take thirteen more: sizes are compiled in, and few rows are multiplied otherwise', async () => {
  const { count, kernels } = await pipelinesOf(layer)
  const weights = { linear: 4, 'linear-rows': 4 } // of four shapes, each for prompts and for single tokens
  const copies = 2
  const around = { gather: 1, normalise: 1, ...weights, elementwise: copies + 3 } // silu, multiply and add
  expect(kernels).toEqual({ rotate: 1, prefill: 1, decode: 1, merge: 1, ...around })
  expect(count).toBe(6 + 13)
})
