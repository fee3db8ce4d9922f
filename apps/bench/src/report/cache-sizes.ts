import { cost } from '@qkv/core'
import { models, type ModelShape } from '../cases/models.ts'

/** Bytes that one layer's keys and values take, by how they are stored. */
export interface CacheSizes {
  readonly model: string
  readonly float32: number
  readonly float16: number
  /** With one float32 scale for each key and each value. */
  readonly int8: number
}

export const cachedTokens = 8192

/** For models that write. Shared heads and windows save as much as small numbers do: a layer with a window keeps no more than it. */
export function cacheSizes(): readonly CacheSizes[] {
  return Object.values(models)
    .filter(({ options }) => options.causal)
    .map((model) => ({
      model: model.title,
      float32: bytesOf(model, 'float32'),
      float16: bytesOf(model, 'float16'),
      int8: bytesOf(model, 'int8') + 2 * 4 * model.keyHeads * keptTokens(model),
    }))
}

function bytesOf(model: ModelShape, dtype: 'float32' | 'float16' | 'int8'): number {
  const { queryHeads, keyHeads, headDim } = model
  return cost({ queryHeads, keyHeads, headDim, queryLength: 1, keyLength: keptTokens(model), dtype }).cacheBytes
}

function keptTokens({ options: { windowLeft = Infinity } }: ModelShape): number {
  return Math.min(cachedTokens, windowLeft + 1)
}
