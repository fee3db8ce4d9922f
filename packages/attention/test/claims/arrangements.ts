import type { HostTensor } from '@qkv/core'
import type { MultiHeadAttentionOptions } from '@qkv/attention'
import { alibi, rotary } from '@qkv/positional'
import { normal } from './subject.ts'

export type LayerOptions = Omit<MultiHeadAttentionOptions, 'backend'>

/** Layers as shipped models arrange them. */
export const arrangements: Record<string, LayerOptions> = {
  'self-attention': { modelDim: 12, heads: 3 },
  'with biases everywhere': { modelDim: 12, heads: 3, bias: true },
  'with biases on the inputs only': { modelDim: 12, heads: 3, bias: 'inputs' },
  'grouped queries': { modelDim: 12, heads: 4, kvHeads: 2, headDim: 6, valueDim: 5 },
  'multi-query, fused': { modelDim: 12, heads: 4, kvHeads: 1, headDim: 8, fused: true, bias: true },
  'each head normalised': { modelDim: 12, heads: 2, kvHeads: 1, queryKeyNorm: { kind: 'rms' } },
  'all heads normalised together, with a layer norm': {
    modelDim: 12,
    heads: 2,
    queryKeyNorm: { kind: 'layer', over: 'heads' },
    fused: true,
  },
  'a gate per head': { modelDim: 12, heads: 3, gate: 'head', bias: 'inputs' },
  'a gate per element': { modelDim: 12, heads: 3, gate: 'element' },
  'sinks, softcap and scale': { modelDim: 12, heads: 3, sinks: true, softcap: 2, scale: 0.7 },
  'causal, with a window': { modelDim: 12, heads: 3, causal: true, window: { left: 2 } },
  rotary: { modelDim: 16, heads: 2, causal: true, position: rotary({ dim: 8 }) },
  'rotary over half a head, normalised first': {
    modelDim: 16,
    heads: 2,
    causal: true,
    queryKeyNorm: { kind: 'rms' },
    position: rotary({ dim: 4, layout: 'interleaved' }),
  },
  alibi: { modelDim: 12, heads: 4, causal: true, position: alibi({ heads: 4 }) },
}

/** Weights of which none is zero or one, so that forgetting any shows. */
export function lively(options: LayerOptions): Record<string, HostTensor> | undefined {
  const {
    modelDim,
    heads,
    kvHeads = heads,
    headDim = modelDim / heads,
    valueDim = headDim,
    memoryDim = modelDim,
    bias,
    fused,
    queryKeyNorm,
    gate,
    sinks,
  } = options
  const shapes: [string, number[]][] = fused
    ? [['queryKeyValue', [(heads + kvHeads) * headDim + kvHeads * valueDim, modelDim]]]
    : [
        ['query', [heads * headDim, modelDim]],
        ['key', [kvHeads * headDim, memoryDim]],
        ['value', [kvHeads * valueDim, memoryDim]],
      ]
  if (gate) shapes.push(['gate', [gate === 'head' ? heads : heads * valueDim, modelDim]])
  const weights: Record<string, HostTensor> = {}
  for (const [name, [outputs = 0, inputs = 0]] of shapes) {
    weights[`${name}.weight`] = normal(`${name}.weight`, [outputs, inputs], 0.5)
    if (bias === true || bias === 'inputs') weights[`${name}.bias`] = normal(`${name}.bias`, [outputs], 0.5)
  }
  weights['output.weight'] = normal('output.weight', [modelDim, heads * valueDim], 0.5)
  if (bias === true || bias === 'output') weights['output.bias'] = normal('output.bias', [modelDim])
  for (const [name, count] of [
    ['queryNorm', heads],
    ['keyNorm', kvHeads],
  ] as const) {
    if (!queryKeyNorm) continue
    const size = queryKeyNorm.over === 'heads' ? count * headDim : headDim
    weights[`${name}.weight`] = normal(`${name}.weight`, [size])
    if (queryKeyNorm.kind === 'layer') weights[`${name}.bias`] = normal(`${name}.bias`, [size])
  }
  if (sinks) weights['sinks'] = normal('sinks', [heads])
  return weights
}
