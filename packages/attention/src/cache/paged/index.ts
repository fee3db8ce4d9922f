export { PagePool, type PagePoolOptions } from './page-pool.ts'
export { PagedCache, type PagedCacheOptions } from './paged-cache.ts'
