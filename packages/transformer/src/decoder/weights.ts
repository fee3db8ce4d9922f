import type { Activation, HostTensor, Tensor } from '@qkv/core'

/** Sizes of a decoder-only transformer. */
export interface DecoderSizes {
  readonly vocabularySize: number
  /** The most tokens that one text may have. */
  readonly contextLength: number
  readonly modelDim: number
  readonly heads: number
  /** Key/value heads; query heads share them in groups. */
  readonly kvHeads: number
  readonly headDim: number
}

/** How a decoder knows where its tokens stand. */
export type DecoderPositions =
  | { readonly kind: 'rotary'; readonly layout: 'half' | 'interleaved'; readonly base: number }
  /** `table` [contextLength, modelDim] is added to the embeddings. */
  | { readonly kind: 'learned'; readonly table: HostTensor }

/** `weight` [outputs, inputs], `bias` [outputs]. */
export interface LinearWeights<T extends Tensor = HostTensor> {
  readonly weight: T
  readonly bias?: T | undefined
}

/** RMSNorm (Zhang and Sennrich, 2019) or LayerNorm (Ba, Kiros and Hinton, 2016); `weight` and `bias` [modelDim]. */
export type NormWeights<T extends Tensor = HostTensor> =
  | { readonly kind: 'rms'; readonly weight: T; readonly epsilon: number }
  | { readonly kind: 'layer'; readonly weight: T; readonly bias?: T | undefined; readonly epsilon: number }

/**
 * `gated`: down(activation(gate(x)) · up(x)), SwiGLU where the activation is silu (Shazeer, GLU variants, 2020).
 * `plain`: down(activation(up(x))).
 */
export type FeedForwardWeights<T extends Tensor = HostTensor> =
  | {
      readonly kind: 'gated'
      readonly activation: Activation
      readonly gate: LinearWeights<T>
      readonly up: LinearWeights<T>
      readonly down: LinearWeights<T>
    }
  | { readonly kind: 'plain'; readonly activation: Activation; readonly up: LinearWeights<T>; readonly down: LinearWeights<T> }

export interface BlockWeights {
  readonly attentionNorm: NormWeights
  /** By the names that `MultiHeadAttention` gives them: `query.weight`, `query.bias`, … */
  readonly attention: Readonly<Record<string, HostTensor>>
  readonly feedForwardNorm: NormWeights
  readonly feedForward: FeedForwardWeights
}

/** Everything that a trained decoder is. */
export interface DecoderCheckpoint {
  readonly sizes: DecoderSizes
  readonly positions: DecoderPositions
  /** [vocabularySize, modelDim] */
  readonly embedding: HostTensor
  readonly blocks: readonly BlockWeights[]
  readonly norm: NormWeights
  /** Hidden states to logits [vocabularySize, modelDim]; often the embedding itself. */
  readonly head: LinearWeights
}
