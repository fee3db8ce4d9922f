import { elementCount, tensor, type HostTensor } from '@qkv/core'
import { random } from '@qkv/testing'
import type { BlockWeights, DecoderCheckpoint, LinearWeights, NormWeights } from '@qkv/transformer'

const sizes = { vocabularySize: 11, contextLength: 9, modelDim: 12, heads: 4, kvHeads: 2, headDim: 4 }
const { modelDim, heads, kvHeads, headDim } = sizes
const hiddenDim = 10
const epsilon = 1e-5

/** RMSNorm, SwiGLU, rotary positions, grouped heads, no biases. */
export function llamaLike(seed: number): DecoderCheckpoint {
  const values = drawn(seed)
  const norm = (): NormWeights => ({ kind: 'rms', weight: values(modelDim), epsilon })
  const linear = (outputs: number, inputs: number): LinearWeights => ({ weight: values(outputs, inputs) })
  const block = (): BlockWeights => ({
    attentionNorm: norm(),
    attention: projections(values),
    feedForwardNorm: norm(),
    feedForward: {
      kind: 'gated',
      activation: 'silu',
      gate: linear(hiddenDim, modelDim),
      up: linear(hiddenDim, modelDim),
      down: linear(modelDim, hiddenDim),
    },
  })
  const embedding = values(sizes.vocabularySize, modelDim)
  return {
    sizes,
    embedding,
    positions: { kind: 'rotary', layout: 'half', base: 100 },
    blocks: [block(), block()],
    norm: norm(),
    head: { weight: embedding },
  }
}

/** LayerNorm, GELU, learned positions, biases everywhere. */
export function gptLike(seed: number): DecoderCheckpoint {
  const values = drawn(seed)
  const norm = (): NormWeights => ({ kind: 'layer', weight: values(modelDim), bias: values(modelDim), epsilon })
  const linear = (outputs: number, inputs: number): LinearWeights => ({ weight: values(outputs, inputs), bias: values(outputs) })
  const block = (): BlockWeights => ({
    attentionNorm: norm(),
    attention: {
      ...projections(values),
      'query.bias': values(heads * headDim),
      'key.bias': values(kvHeads * headDim),
      'value.bias': values(kvHeads * headDim),
      'output.bias': values(modelDim),
    },
    feedForwardNorm: norm(),
    feedForward: { kind: 'plain', activation: 'gelu-tanh', up: linear(hiddenDim, modelDim), down: linear(modelDim, hiddenDim) },
  })
  return {
    sizes,
    embedding: values(sizes.vocabularySize, modelDim),
    positions: { kind: 'learned', table: values(sizes.contextLength, modelDim) },
    blocks: [block(), block()],
    norm: norm(),
    head: { weight: values(sizes.vocabularySize, modelDim) },
  }
}

function projections(values: (...shape: number[]) => HostTensor): Record<string, HostTensor> {
  return {
    'query.weight': values(heads * headDim, modelDim),
    'key.weight': values(kvHeads * headDim, modelDim),
    'value.weight': values(kvHeads * headDim, modelDim),
    'output.weight': values(modelDim, heads * headDim),
  }
}

/** Tensors of normal deviates of size about 1/√inputs, large enough for every part to matter. */
function drawn(seed: number): (...shape: number[]) => HostTensor {
  const stream = random(seed, 'checkpoint')
  return (...shape) => {
    const scale = shape.length === 1 ? 1 : 1 / Math.sqrt(shape.at(-1) ?? 1)
    return tensor(
      Float32Array.from({ length: elementCount(shape) }, () => scale * stream.normal()),
      shape,
    )
  }
}
