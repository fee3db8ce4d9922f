import type { WeightMap } from '@qkv/attention'

/**
 * What the heads look at: `maps[layer][head][row][key]`, rows being the tokens asked for, keys all tokens up to the last.
 * Each row sums to 1; a token sees none after itself.
 */
export type AttentionMaps = readonly WeightMap[]
