import { toFloat64, type HostTensor } from '@qkv/core'
import { MultiHeadAttention } from '@qkv/attention'
import { fromPyTorch } from '@qkv/attention/pytorch'
import { createCpuBackend } from '@qkv/cpu'
import { describe, expect, it } from 'vitest'
import { expectAlike, normal, valuesOf } from './claims/subject.ts'

describe('fromPyTorch', () => {
  const input = normal('torch input', [2, 5, 12])
  const inProjection = normal('in_proj_weight', [36, 12], 0.4)
  const state: Record<string, HostTensor> = {
    in_proj_weight: inProjection,
    in_proj_bias: normal('in_proj_bias', [36], 0.4),
    'out_proj.weight': normal('out_proj.weight', [12, 12], 0.4),
    'out_proj.bias': normal('out_proj.bias', [12], 0.4),
  }

  it.each([
    ['all of it', state],
    ['no biases', { in_proj_weight: inProjection, 'out_proj.weight': state['out_proj.weight']! }],
    [
      'no bias of the output',
      { in_proj_weight: inProjection, in_proj_bias: state['in_proj_bias']!, 'out_proj.weight': state['out_proj.weight']! },
    ],
  ] as const)('with %s: computes what PyTorch’s steps do', async (_, given) => {
    using backend = await createCpuBackend()
    using layer = new MultiHeadAttention({ backend, ...fromPyTorch(given, { heads: 3 }) })
    using output = await layer.forward(input)
    expectAlike(await valuesOf({ backend, platform: 'cpu' }, output), torchForward(given, input, input, 3))
  })

  it('takes kdim and vdim', async () => {
    using backend = await createCpuBackend()
    const own = {
      q_proj_weight: normal('q_proj', [12, 12], 0.4),
      k_proj_weight: normal('k_proj', [12, 7], 0.4),
      v_proj_weight: normal('v_proj', [12, 7], 0.4),
      in_proj_bias: state['in_proj_bias']!,
      'out_proj.weight': state['out_proj.weight']!,
    }
    const memory = normal('torch memory', [2, 3, 7])
    using layer = new MultiHeadAttention({ backend, ...fromPyTorch(own, { heads: 2 }) })
    using output = await layer.forward(input, { memory })
    expectAlike(await valuesOf({ backend, platform: 'cpu' }, output), torchForward(own, input, memory, 2))
    expect(layer.config).toMatchObject({ memoryDim: 7, inputBias: true, outputBias: false })
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

/**
 * The steps of PyTorch's `F.multi_head_attention_forward` in float64, written from its source and sharing nothing with the
 * layer: an input projection whose rows are those of query, key and value one after another, or three of their own; heads by
 * `view(length, batch · heads, headDim)`; queries divided by √headDim; softmax; and the output projection.
 */
function torchForward(
  given: Readonly<Partial<Record<string, HostTensor>>>,
  query: HostTensor,
  memory: HostTensor,
  heads: number,
): Float64Array {
  const numbers = (name: string): Float64Array | undefined => given[name] && toFloat64(given[name])
  const [batch = 0, length = 0, embedDim = 0] = query.shape
  const [, sourceLength = 0] = memory.shape
  const headDim = embedDim / heads
  const project = (part: number, from: HostTensor): ((b: number, l: number, e: number) => number) => {
    const [x, own, all, bias] = [
      toFloat64(from),
      numbers(`${'qkv'[part]}_proj_weight`),
      numbers('in_proj_weight'),
      numbers('in_proj_bias'),
    ]
    const [, tokens = 0, inputs = 0] = from.shape
    return (b, l, e) => {
      const row = own === undefined ? part * embedDim + e : e
      let sum = bias?.[part * embedDim + e] ?? 0
      for (let c = 0; c < inputs; c++) sum += (own ?? all)![row * inputs + c]! * x[(b * tokens + l) * inputs + c]!
      return sum
    }
  }
  const [q, k, v] = [project(0, query), project(1, memory), project(2, memory)] as const
  const [outWeight, outBias] = [numbers('out_proj.weight')!, numbers('out_proj.bias')]
  const output = new Float64Array(batch * length * embedDim)
  for (let b = 0; b < batch; b++) {
    for (let l = 0; l < length; l++) {
      const attended = new Float64Array(embedDim)
      for (let h = 0; h < heads; h++) {
        const exponentials = Array.from({ length: sourceLength }, (_, s) => {
          let score = 0
          for (let c = h * headDim; c < (h + 1) * headDim; c++) score += (q(b, l, c) / Math.sqrt(headDim)) * k(b, s, c)
          return Math.exp(score)
        })
        const total = exponentials.reduce((sum, exponential) => sum + exponential, 0)
        for (let c = h * headDim; c < (h + 1) * headDim; c++) {
          exponentials.forEach((exponential, s) => (attended[c]! += (exponential / total) * v(b, s, c)))
        }
      }
      for (let e = 0; e < embedDim; e++) {
        const sum = attended.reduce((partial, element, c) => partial + outWeight[e * embedDim + c]! * element, outBias?.[e] ?? 0)
        output[(b * length + l) * embedDim + e] = sum
      }
    }
  }
  return output
}
