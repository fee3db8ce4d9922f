import { slice, type HostTensor } from '@qkv/core'
import { MultiHeadAttention } from '@qkv/attention'
import { fromPyTorch } from '@qkv/attention/pytorch'
import { createCpuBackend } from '@qkv/cpu'
import { describe, expect, it } from 'vitest'
import { naiveLayer } from './claims/naive-layer.ts'
import { normal, valuesOf } from './claims/subject.ts'

describe('fromPyTorch', () => {
  const input = normal('torch input', [2, 5, 12])
  const inProjection = normal('in_proj_weight', [36, 12], 0.4)
  const state: Record<string, HostTensor> = {
    in_proj_weight: inProjection,
    in_proj_bias: normal('in_proj_bias', [36], 0.4),
    'out_proj.weight': normal('out_proj.weight', [12, 12], 0.4),
    'out_proj.bias': normal('out_proj.bias', [12], 0.4),
  }

  it('reads the rows of in_proj_weight as query, key and value', async () => {
    using backend = await createCpuBackend()
    using layer = new MultiHeadAttention({ backend, ...fromPyTorch(state, { heads: 3 }) })
    using output = await layer.forward(input)
    const named = {
      'query.weight': slice(inProjection, 0, 0, 12),
      'key.weight': slice(inProjection, 0, 12, 24),
      'value.weight': slice(inProjection, 0, 24, 36),
      'query.bias': slice(state['in_proj_bias']!, 0, 0, 12),
      'key.bias': slice(state['in_proj_bias']!, 0, 12, 24),
      'value.bias': slice(state['in_proj_bias']!, 0, 24, 36),
      'output.weight': state['out_proj.weight']!,
      'output.bias': state['out_proj.bias']!,
    }
    const expected = naiveLayer(input, input, layer.config, { modelDim: 12, heads: 3 }, named as Record<string, HostTensor>)
    const actual = await valuesOf({ backend, platform: 'cpu' }, output)
    expect(actual.reduce((most, element, index) => Math.max(most, Math.abs(element - expected[index]!)), 0)).toBeLessThan(1e-5)
  })

  it('takes kdim and vdim, and no biases', async () => {
    using backend = await createCpuBackend()
    const own = {
      q_proj_weight: normal('q_proj', [12, 12]),
      k_proj_weight: normal('k_proj', [12, 7]),
      v_proj_weight: normal('v_proj', [12, 7]),
      'out_proj.weight': state['out_proj.weight']!,
    }
    using layer = new MultiHeadAttention({ backend, ...fromPyTorch(own, { heads: 2 }) })
    using output = await layer.forward(input, { memory: normal('torch memory', [2, 3, 7]) })
    expect(output.shape).toEqual([2, 5, 12])
    expect(layer.config).toMatchObject({ memoryDim: 7, inputBias: false, outputBias: false })
  })

  it('refuses what is missing, and what it cannot express', () => {
    expect(() => fromPyTorch({}, { heads: 2 })).toThrow("fromPyTorch: state['out_proj.weight'] must be a tensor; received nothing")
    expect(() => fromPyTorch({ ...state, bias_k: normal('bias_k', [1, 1, 12]) }, { heads: 3 })).toThrow(
      "state['bias_k'] must be absent",
    )
    expect(() => fromPyTorch({ ...state, in_proj_weight: normal('half', [24, 12]) }, { heads: 3 })).toThrow(
      "state['in_proj_weight'] must be [36,12]; received [24,12]",
    )
  })
})
