import { cacheBytes, type CacheDtype } from '@qkv/attention'
import { models, type ModelShape } from '../cases/models.ts'

/** How a cache may keep keys and values; int8 and int4 with a scale for each 32 numbers. */
export const cacheKinds: readonly ['float32', 'float16', 'int8', 'int4'] = ['float32', 'float16', 'int8', 'int4']

/** Bytes that one layer's keys and values take, by how they are stored. */
export type CacheSizes = { readonly model: string } & Readonly<Record<(typeof cacheKinds)[number], number>>

export const cachedTokens = 8192

/** For models that write. Shared heads and windows save as much as small numbers do: a layer with a window keeps no more than it. */
export function cacheSizes(): readonly CacheSizes[] {
  return Object.values(models)
    .filter(({ options }) => options.causal)
    .map((model) => ({ model: model.title, ...sizesOf(model) }))
}

function sizesOf({ keyHeads, headDim, options: { windowLeft = Infinity } }: ModelShape): Omit<CacheSizes, 'model'> {
  const tokens = Math.min(cachedTokens, windowLeft + 1)
  const size = (dtype: CacheDtype): number => cacheBytes({ heads: keyHeads, headDim, dtype }, tokens)
  return { float32: size('float32'), float16: size('float16'), int8: size('int8'), int4: size('int4') }
}
