export { LatentAttention, type LatentForwardOptions } from './latent-attention.ts'
export type { LatentAttentionOptions, LatentConfig } from './options.ts'
