import { slice, toFloat32, type HostTensor } from '@qkv/core'
import { KeyValueCache, MultiHeadAttention, type MultiHeadAttentionOptions } from '@qkv/attention'
import { exportAttentionLayer } from '@qkv/attention/onnx-export'
import { createCpuBackend, type CpuBackend } from '@qkv/cpu'
import { alibi, mixedRotary, rotary, xpos } from '@qkv/positional'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { normal, valuesOf } from './claims/subject.ts'

const arrangements: Record<string, Omit<MultiHeadAttentionOptions, 'backend'>> = {
  plain: { modelDim: 16, heads: 2 },
  'causal, with biases, scale and softcap': { modelDim: 16, heads: 2, causal: true, bias: true, scale: 0.3, softcap: 3 },
  'grouped and fused, values of another size': {
    modelDim: 16,
    heads: 4,
    kvHeads: 2,
    headDim: 8,
    valueDim: 6,
    fused: true,
    bias: 'inputs',
  },
  'each head normalised, rotary': {
    modelDim: 16,
    heads: 2,
    causal: true,
    queryKeyNorm: { kind: 'rms' },
    position: rotary({ dim: 8 }),
  },
  'all heads normalised, partly rotary, interleaved': {
    modelDim: 16,
    heads: 2,
    causal: true,
    queryKeyNorm: { kind: 'layer', over: 'heads' },
    position: rotary({ dim: 4, layout: 'interleaved' }),
  },
  'rotary with tables of their own for queries and keys': {
    modelDim: 16,
    heads: 2,
    causal: true,
    position: xpos({ dim: 8, scaleBase: 8 }),
  },
}

describe('exportAttentionLayer', () => {
  let backend: CpuBackend
  beforeAll(async () => {
    backend = await createCpuBackend()
  })
  afterAll(() => backend.dispose())

  it.each(Object.entries(arrangements))('%s: onnxruntime gets what the layer gives', async (_, options) => {
    using layer = new MultiHeadAttention({ ...options, backend, seed: 2 })
    const input = normal('exported input', [2, 7, 16])
    using output = await layer.forward(input)
    const session = await InferenceSession.create(await exportAttentionLayer(layer, { maximumLength: 16 }))
    const results = await session.run(feeds(session, input, 0))
    expect(results['output']?.dims).toEqual([2, 7, 16])
    expectClose(results['output']!, await valuesOf({ backend, platform: 'cpu' }, output))
    await session.release()
  })

  it.each(Object.entries(arrangements).filter(([, { causal }]) => causal))(
    '%s: token by token, with keys and values handed on',
    async (_, options) => {
      using layer = new MultiHeadAttention({ ...options, backend, seed: 2 })
      const { kvHeads, headDim, valueDim } = layer.config
      using cache = new KeyValueCache({ backend, heads: kvHeads, headDim, valueDim })
      const session = await InferenceSession.create(await exportAttentionLayer(layer, { cache: true, maximumLength: 16 }))
      const input = normal('handed on', [1, 6, 16])
      let past: Record<string, Tensor> = {
        past_key: new Tensor('float32', new Float32Array(), [1, kvHeads, 0, headDim]),
        past_value: new Tensor('float32', new Float32Array(), [1, kvHeads, 0, valueDim]),
      }
      for (const [start, end] of [
        [0, 4],
        [4, 5],
        [5, 6],
      ] as const) {
        const tokens = slice(input, 1, start, end) as HostTensor
        using output = await layer.forward(tokens, { cache })
        const results = await session.run({ ...feeds(session, tokens, start), ...past })
        expectClose(results['output']!, await valuesOf({ backend, platform: 'cpu' }, output))
        past = { past_key: results['present_key']!, past_value: results['present_value']! }
      }
      expect(past['past_key']!.dims).toEqual([1, kvHeads, 6, headDim])
      await session.release()
    },
  )

  it('refuses what the operators cannot express, by name', async () => {
    const exported = (options: Partial<MultiHeadAttentionOptions>) => async () => {
      using layer = new MultiHeadAttention({ backend, modelDim: 16, heads: 2, ...options })
      return exportAttentionLayer(layer)
    }
    await expect(exported({ window: { left: 2 } })).rejects.toThrow(
      'exportAttentionLayer: window must be absent, for ONNX’s Attention has none',
    )
    await expect(exported({ gate: 'head' })).rejects.toThrow('gate must be absent')
    await expect(exported({ sinks: true })).rejects.toThrow('sinks must be absent')
    for (const position of [
      alibi({ heads: 2 }),
      mixedRotary({ frequencies: normal('each head’s own', [2, 1, 4]) }),
      rotary({ dim: 8, type: 'dynamic', factor: 2, max_position_embeddings: 16 }),
    ]) {
      await expect(exported({ position })).rejects.toThrow('position must be absent')
    }
  })
})

function feeds(session: InferenceSession, input: HostTensor, start: number): Record<string, Tensor> {
  const [batch = 0, length = 0] = input.shape
  const positions = BigInt64Array.from({ length: batch * length }, (_, index) => BigInt(start + (index % length)))
  return {
    input: new Tensor('float32', toFloat32(input), input.shape),
    ...(session.inputNames.includes('positions') ? { positions: new Tensor('int64', positions, [batch, length]) } : {}),
  }
}

function expectClose(actual: Tensor, expected: Float64Array): void {
  const values = actual.data as Float32Array
  expect(values.length).toBe(expected.length)
  expect(values.reduce((most, element, index) => Math.max(most, Math.abs(element - expected[index]!)), 0)).toBeLessThan(1e-5)
}
