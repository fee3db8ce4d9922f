/** Many sequences at once: of different lengths, packed or in one cache, or with a common beginning. */
export { BatchedCache } from './batched-cache.ts'
export { cascadeAttention, type CascadeOptions, type KeysAndValues } from './cascade.ts'
export { packedAttention, type PackedAttentionOptions, type PackedAttentionResult } from './packed.ts'
