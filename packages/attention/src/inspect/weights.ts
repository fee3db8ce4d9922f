import { inspection, type Inspection } from './inspection.ts'

/** `map[h][r][j]`: how much chosen query r of chosen head h looks at key j. */
export type WeightMap = readonly (readonly Float32Array[])[]

/**
 * The weights themselves: each chosen row [keyLength] sums to 1 (less a sink's share), or to 0 where it sees no key.
 *
 *     const [head] = inspect.weights(query, key, { causal: true, heads: [3], rows: [41] })
 */
export const weights: Inspection<WeightMap> = inspection('inspect.weights', (walk) => {
  const map: Float32Array[][] = []
  const { heads } = walk(({ head, weights }) => (map[head] ??= []).push(Float32Array.from(weights)))
  return heads.map((_, head) => map[head] ?? [])
})
