import { cachedAttention, SlidingCache, type AttentionCache } from '@qkv/attention'
import { PagedCache, PagePool } from '@qkv/attention/paged'
import { slice, tensor, type Backend } from '@qkv/core'
import type { AttentionCase } from '../../cases/case.ts'
import { attentionVectors } from '../../cases/vectors.ts'
import type { Contestant } from '../peer.ts'

const pageSize = 64

/** One query over a cache of the case's kind, which has taken in a text of that length beforehand, page by page. */
export async function attendsCached(backend: Backend, bench: AttentionCase): Promise<Contestant> {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim } = bench
  const vectors = attentionVectors(bench)
  const query = backend.upload(tensor(vectors.query, [batch, queryHeads, queryLength, headDim]))
  const key = tensor(vectors.key, [batch, keyHeads, keyLength, headDim])
  const value = tensor(vectors.value, [batch, keyHeads, keyLength, valueDim])
  const { caches, dispose } = cachesOf(backend, bench)
  for (let first = 0; first < keyLength; first += pageSize) {
    const end = Math.min(keyLength, first + pageSize)
    for (const cache of caches) await cache.append(slice(key, 2, first, end), slice(value, 2, first, end))
  }
  let output = new Float32Array()
  return {
    how: `attention over a ${bench.cache} cache`,
    async run() {
      const result = await cachedAttention(query, caches[0])
      output = (await backend.read(result.output)) as Float32Array<ArrayBuffer>
      result.output.dispose()
    },
    result: async () => output.slice(),
    dispose() {
      dispose()
      query.dispose()
    },
  }
}

type Caches = readonly [AttentionCache, ...AttentionCache[]]

/** The cache that is asked, and who grows beside it: where sequences take turns, the pages of one do not follow one another. */
function cachesOf(backend: Backend, bench: AttentionCase): { caches: Caches; dispose: () => void } {
  const { keyHeads: heads, keyLength, headDim, valueDim, windowLeft } = bench
  if (bench.cache === 'sliding') {
    const cache = new SlidingCache({ backend, heads, headDim, valueDim, window: windowLeft! + 1 })
    return { caches: [cache], dispose: () => cache.dispose() }
  }
  const pages = 2 * Math.ceil(keyLength / pageSize)
  const pool = new PagePool({ backend, heads, headDim, valueDim, pages, pageSize })
  return { caches: [new PagedCache({ pool }), new PagedCache({ pool })], dispose: () => pool.dispose() }
}
