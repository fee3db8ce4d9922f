import { inspect, type ForwardOptions, type KeyValueCache, type MultiHeadAttention, type WeightMap } from '@qkv/attention'
import type { Backend, OwnedTensor, Tensor } from '@qkv/core'
import { feedForward } from './feed-forward.ts'
import { normalise } from './normalise.ts'
import type { FeedForwardWeights, NormWeights } from './weights.ts'

/** A block's weights, living on a backend. */
export interface Block {
  readonly attentionNorm: NormWeights<Tensor>
  readonly attention: MultiHeadAttention
  readonly feedForwardNorm: NormWeights<Tensor>
  readonly feedForward: FeedForwardWeights<Tensor>
}

export interface BlockStep {
  /** Keys and values of the tokens before, taking in those of these. */
  readonly cache: KeyValueCache | undefined
  /** Also capture what the tokens from here on look at. */
  readonly mapsFrom: number | undefined
}

export interface BlockResult {
  readonly hidden: OwnedTensor
  readonly map: WeightMap | undefined
}

/**
 * One layer: tokens look at each other, then each thinks by itself. Both read normalised hidden states and add to what was
 * there (pre-norm): h += attention(norm(h)), h += feedForward(norm(h)). `hidden` [batch, length, modelDim].
 */
export async function runBlock(
  backend: Backend,
  hidden: Tensor,
  block: Block,
  { cache, mapsFrom }: BlockStep,
): Promise<BlockResult> {
  let map: WeightMap | undefined
  const capture: ForwardOptions['inspect'] = async (query, key, options) => {
    map = await inspect.weights(query, key, { ...options, rows: range(mapsFrom ?? 0, query.shape[2] ?? 0) })
  }
  using normed = normalise(backend, hidden, block.attentionNorm)
  using attended = await block.attention.forward(normed, { cache, inspect: mapsFrom === undefined ? undefined : capture })
  using joined = backend.add(hidden, attended)
  using normedAgain = normalise(backend, joined, block.feedForwardNorm)
  using thought = feedForward(backend, normedAgain, block.feedForward)
  return { hidden: backend.add(joined, thought), map }
}

function range(start: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - start) }, (_, index) => start + index)
}
