export { PagePool, type PagePoolOptions } from './page-pool.ts'
export { PagedBatch } from './paged-batch.ts'
export { PagedCache, type PagedCacheOptions } from './paged-cache.ts'
