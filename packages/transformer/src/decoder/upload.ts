import { MultiHeadAttention } from '@qkv/attention'
import type { Backend, HostTensor, Tensor } from '@qkv/core'
import { rotary } from '@qkv/positional'
import type { Block } from './block.ts'
import type { BlockWeights, DecoderCheckpoint, FeedForwardWeights, LinearWeights, NormWeights } from './weights.ts'

/** A checkpoint's weights, living on a backend. */
export interface DecoderParts extends Disposable {
  readonly embedding: Tensor
  /** [contextLength, modelDim], where positions are learned. */
  readonly positions: Tensor | undefined
  readonly blocks: readonly Block[]
  readonly norm: NormWeights<Tensor>
  readonly head: LinearWeights<Tensor>
}

/** Copies all weights to the backend; a tensor that has two uses is copied once. */
export function uploadCheckpoint(backend: Backend, checkpoint: DecoderCheckpoint): DecoderParts {
  const owned: Disposable[] = []
  const dispose = (): void => owned.splice(0).forEach((part) => part[Symbol.dispose]())
  const copies = new Map<HostTensor, Tensor>()
  const upload: Upload = (host) => {
    const known = copies.get(host)
    if (known) return known
    const copy = backend.upload(host)
    owned.push(copy)
    copies.set(host, copy)
    return copy
  }
  try {
    const { embedding, positions, blocks, norm, head } = checkpoint
    return {
      embedding: upload(embedding),
      positions: positions.kind === 'learned' ? upload(positions.table) : undefined,
      blocks: blocks.map((block) => {
        const attention = attentionOf(backend, checkpoint, block)
        owned.push(attention)
        return {
          attentionNorm: uploadNorm(upload, block.attentionNorm),
          attention,
          feedForwardNorm: uploadNorm(upload, block.feedForwardNorm),
          feedForward: uploadFeedForward(upload, block.feedForward),
        }
      }),
      norm: uploadNorm(upload, norm),
      head: uploadLinear(upload, head),
      [Symbol.dispose]: dispose,
    }
  } catch (failure) {
    dispose()
    throw failure
  }
}

type Upload = (host: HostTensor) => Tensor

function attentionOf(backend: Backend, { sizes, positions }: DecoderCheckpoint, { attention }: BlockWeights): MultiHeadAttention {
  const { modelDim, heads, kvHeads, headDim } = sizes
  const inputs = 'query.bias' in attention
  const output = 'output.bias' in attention
  return new MultiHeadAttention({
    backend,
    modelDim,
    heads,
    kvHeads,
    headDim,
    causal: true,
    position: positions.kind === 'rotary' ? rotary({ dim: headDim, base: positions.base, layout: positions.layout }) : undefined,
    bias: inputs && output ? true : inputs ? 'inputs' : output ? 'output' : false,
    weights: attention,
  })
}

function uploadNorm(upload: Upload, norm: NormWeights): NormWeights<Tensor> {
  if (norm.kind === 'rms') return { ...norm, weight: upload(norm.weight) }
  return { ...norm, weight: upload(norm.weight), bias: norm.bias && upload(norm.bias) }
}

function uploadFeedForward(upload: Upload, weights: FeedForwardWeights): FeedForwardWeights<Tensor> {
  const up = uploadLinear(upload, weights.up)
  const down = uploadLinear(upload, weights.down)
  return weights.kind === 'gated' ? { ...weights, gate: uploadLinear(upload, weights.gate), up, down } : { ...weights, up, down }
}

function uploadLinear(upload: Upload, { weight, bias }: LinearWeights): LinearWeights<Tensor> {
  return { weight: upload(weight), bias: bias && upload(bias) }
}
