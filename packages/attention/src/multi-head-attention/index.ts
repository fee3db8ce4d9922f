export { MultiHeadAttention, type ForwardOptions, type ProjectedMemory } from './multi-head-attention.ts'
export { weightShapes, type MultiHeadAttentionOptions, type MultiHeadConfig } from './options.ts'
export type { WeightShapes } from '../weights.ts'
