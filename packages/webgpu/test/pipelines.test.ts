import { mergeHeads, problem, slice, splitHeads, zeros, type OwnedTensor, type Tensor } from '@qkv/core'
import { failingGpu } from '@qkv/testing/failing-gpu'
import { createWebGpuBackend, type WebGpuBackend } from '@qkv/webgpu'
import { describe, expect, test } from 'vitest'
import { linearTile } from '../src/kernels/linear-tile.ts'

interface Sizes {
  readonly heads: number
  readonly keyHeads: number
  readonly dim: number
  readonly hiddenWidth: number
  readonly words: number
}

/** Decoders of Llama's kind. */
const models = {
  'of 512 elements a token': { heads: 8, keyHeads: 2, dim: 64, hiddenWidth: 1024, words: 1000 },
  stories260K: { heads: 8, keyHeads: 4, dim: 8, hiddenWidth: 172, words: 512 },
} as const satisfies Record<string, Sizes>

/** Tokens that come together: prompts, and one by one, over so few keys that one workgroup has them, and over many. */
const chunks = [37, 1, 1, 64, ...new Array<number>(40).fill(1), 900, 1, 1, 1000, 1, 1, 1]
const capacity = 4096

interface Decoder extends Sizes {
  readonly backend: WebGpuBackend
  readonly key: Tensor
  readonly value: Tensor
}

/** Rotates, takes in and attends: [1, tokens, width] and twice [1, tokens, keyWidth] to [1, tokens, width]. */
function attend(
  { backend, heads, keyHeads, dim, ...cache }: Decoder,
  [query, key, value]: readonly [Tensor, Tensor, Tensor],
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

/** From words to the next one's likelihood, by a layer around {@link attend}. */
function decode(decoder: Decoder, tokens: number, held: number): void {
  const { backend, heads, keyHeads, dim, hiddenWidth, words } = decoder
  const [width, keyWidth] = [heads * dim, keyHeads * dim]
  const weight = (outputs: number, inputs: number): Tensor => backend.upload(zeros([outputs, inputs]))
  const table = weight(words, width)
  const input = backend.gather(table, zeros([1, tokens], 'int32'))
  const scale = backend.upload(zeros([width]))
  const normed = backend.rmsNorm(input, scale, 1e-5)
  const projected = [width, keyWidth, keyWidth].map((outputs) => backend.linear(normed, weight(outputs, width)))
  const [query = input, key = input, value = input] = projected
  const attended = backend.linear(attend(decoder, [query, key, value], held), weight(width, width))
  const joined = backend.add(input, attended)
  const again = backend.rmsNorm(joined, scale, 1e-5)
  const gate = backend.activate(backend.linear(again, weight(hiddenWidth, width)), 'silu')
  const raised = backend.multiply(gate, backend.linear(again, weight(hiddenWidth, width)))
  const output = backend.add(joined, backend.linear(raised, weight(width, hiddenWidth)))
  backend.linear(backend.rmsNorm(slice(output, 1, tokens - 1, tokens), scale, 1e-5), table)
}

/** How many pipelines there are of each kernel once all chunks went through `step`. */
async function pipelinesOf(sizes: Sizes, step: (decoder: Decoder, tokens: number, held: number) => unknown) {
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
  const cache = (): Tensor => backend.empty([1, sizes.keyHeads, capacity, sizes.dim])
  const decoder = { ...sizes, backend, key: cache(), value: cache() }
  let held = 0
  for (const tokens of chunks) {
    step(decoder, tokens, held)
    held += tokens
    await backend.flush()
  }
  return { count: backend.pipelines, kernels }
}

describe.each(Object.entries(models))('a decoder, %s,', (_, sizes) => {
  const attention = { rotate: 1, copy: 1, prefill: 1, decode: 1, merge: 1 }

  test('attends with five pipelines, from its first prompt to thousands of tokens', async () => {
    const { count, kernels } = await pipelinesOf(sizes, (decoder, tokens, held) => {
      const vectors = (heads: number): Tensor => decoder.backend.upload(zeros([1, tokens, heads * sizes.dim]))
      attend(decoder, [vectors(sizes.heads), vectors(sizes.keyHeads), vectors(sizes.keyHeads)], held)
    })
    expect(kernels).toEqual(attention)
    expect(count).toBe(5)
  })

  test('takes five more around it; of hidden vectors that tiles do not divide, six', async () => {
    const { count, kernels } = await pipelinesOf(sizes, decode)
    const linear = sizes.hiddenWidth % linearTile.depth === 0 ? 1 : 2
    expect(kernels).toEqual({ ...attention, gather: 1, normalise: 1, linear, 'linear-rows': 1, elementwise: 1 })
    expect(count).toBe(9 + linear)
  })
})
