import type { Backend, Tensor } from '@qkv/core'
import type { RotaryEncoding } from '@qkv/positional'
import type { WeightShapes } from '../weights.ts'
import { checkBackend, checkSizes, invalid } from '../refuse.ts'

export interface LatentAttentionOptions {
  readonly backend: Backend
  readonly modelDim: number
  readonly heads: number
  /** Elements of the vector that keys and values of all heads are made from. */
  readonly latentDim: number
  /** Elements of the vector that queries are made from; without it they come straight from the input. */
  readonly queryLatentDim?: number | undefined
  /** Elements of each head's query and key that carry content. */
  readonly contentDim: number
  /** Elements of each head's query, and of the one key that all heads share, that carry position. */
  readonly rotaryDim: number
  /** Elements of a value. */
  readonly valueDim: number
  /** Rotary over `rotaryDim` elements. */
  readonly position: RotaryEncoding
  /** Default 1/√(contentDim + rotaryDim). */
  readonly scale?: number | undefined
  /** Of the norms of latent vectors; default 1e-6. */
  readonly epsilon?: number | undefined
  /** Named tensors, as {@link LatentAttention} says; without them, small random ones from `seed`. */
  readonly weights?: Readonly<Record<string, Tensor>> | undefined
  readonly seed?: number | undefined
}

/** What a layer's options come to. */
export interface LatentConfig extends Omit<LatentAttentionOptions, 'backend' | 'weights' | 'seed'> {
  readonly scale: number
  readonly epsilon: number
}

/** @throws QkvError naming the option at fault. */
export function latentConfig(options: LatentAttentionOptions): LatentConfig {
  const { backend, weights: _, seed: __, ...sizes } = options
  const { modelDim, heads, latentDim, contentDim, rotaryDim, valueDim, position } = sizes
  checkBackend('LatentAttention', backend)
  checkSizes('LatentAttention', { modelDim, heads, latentDim, contentDim, rotaryDim, valueDim })
  if (position?.kind !== 'rotary' || position.dim !== rotaryDim || position.followsLength) {
    const received =
      position?.kind !== 'rotary' ? 'another' : `over ${position.dim}${position.followsLength ? ', following it' : ''}`
    throw invalid('LatentAttention', 'position', `rotary over ${rotaryDim} elements that does not follow the length`, received)
  }
  return { ...sizes, scale: sizes.scale ?? 1 / Math.sqrt(contentDim + rotaryDim), epsilon: sizes.epsilon ?? 1e-6 }
}

export function latentWeightShapes(config: LatentConfig): WeightShapes {
  const { modelDim, heads, latentDim, queryLatentDim, contentDim, rotaryDim, valueDim } = config
  const queries = heads * (contentDim + rotaryDim)
  const queryShapes: WeightShapes =
    queryLatentDim === undefined
      ? { 'query.weight': [queries, modelDim] }
      : {
          'queryDown.weight': [queryLatentDim, modelDim],
          'queryNorm.weight': [queryLatentDim],
          'queryUp.weight': [queries, queryLatentDim],
        }
  return {
    ...queryShapes,
    'latent.weight': [latentDim + rotaryDim, modelDim],
    'latentNorm.weight': [latentDim],
    'keyValue.weight': [heads * (contentDim + valueDim), latentDim],
    'output.weight': [modelDim, heads * valueDim],
  }
}
