import { checkShape, checkWhole } from '../refuse.ts'
import type { WeightMap } from './weights.ts'

/**
 * How much of each input token arrives at each token of the last layer, if attention were all that mixes tokens: layers
 * multiplied up, each the mean of its heads and, for the residual connection, the identity (Abnar and Zuidema,
 * Quantifying attention flow in transformers, 2020, arXiv:2005.00928).
 *
 * @param maps `[layer][head][row][key]` of self-attention over all tokens
 * @returns `[token][input]`, rows summing to 1
 */
export function rollout(maps: readonly WeightMap[]): Float64Array[] {
  const layers = mixing('inspect.rollout', maps)
  return layers.slice(1).reduce(
    (below, layer) =>
      layer.map((row) => {
        const arrived = new Float64Array(row.length)
        row.forEach((weight, key) => below[key]?.forEach((share, input) => (arrived[input]! += weight * share)))
        return arrived
      }),
    layers[0] ?? [],
  )
}

/**
 * How much of each input token can reach a token of the last layer at most: the maximum flow through the layers, weights
 * being capacities, so that a path is as wide as its narrowest step (Abnar and Zuidema, 2020).
 *
 * @param maps `[layer][head][row][key]` of self-attention over all tokens
 * @param tokens for which tokens of the last layer; default the last one. Each costs about tokens³ · layers² steps.
 * @returns `[chosen token][input]`
 */
export function flow(maps: readonly WeightMap[], tokens?: readonly number[]): Float64Array[] {
  const layers = mixing('inspect.flow', maps)
  const length = layers[0]?.length ?? 0
  const chosen = tokens ?? (length === 0 ? [] : [length - 1])
  checkWhole('inspect.flow', 'tokens', chosen, 0, length - 1)
  return chosen.map((token) => Float64Array.from({ length }, (_, input) => maximumFlow(layers, token, input)))
}

/** Each layer's heads averaged, half and half with the identity, each row summing to 1. */
function mixing(operation: string, maps: readonly WeightMap[]): Float64Array[][] {
  return maps.map((heads, layer) => {
    const length = heads[0]?.length ?? 0
    return Array.from({ length }, (_, row) => {
      const mixed = new Float64Array(length)
      for (const head of heads) {
        const weights = head[row] ?? []
        checkShape(operation, `maps[${layer}]`, [length, weights.length], [length, length])
        weights.forEach((weight, key) => (mixed[key]! += weight))
      }
      const sum = mixed.reduce((total, weight) => total + weight, 0)
      return mixed.map((weight, key) => (sum === 0 ? Number(key === row) : (0.5 * weight) / sum + (key === row ? 0.5 : 0)))
    })
  })
}

/**
 * From `token` above the last layer to `input` below the first, by widening one shortest path at a time (Edmonds and
 * Karp, 1972). Node `level · length + token` is a token's vector before layer `level`.
 */
function maximumFlow(layers: readonly Float64Array[][], token: number, input: number): number {
  const length = layers[0]?.length ?? 0
  const capacity = residuals(layers)
  const source = layers.length * length + token
  let total = 0
  for (;;) {
    const path = shortestPath(capacity, source, input)
    if (path === undefined) return total
    const width = path.reduce((narrowest, [from, to]) => Math.min(narrowest, capacity[from]!.get(to)!), Infinity)
    for (const [from, to] of path) {
      capacity[from]!.set(to, capacity[from]!.get(to)! - width)
      capacity[to]!.set(from, (capacity[to]!.get(from) ?? 0) + width)
    }
    total += width
  }
}

function residuals(layers: readonly Float64Array[][]): Map<number, number>[] {
  const length = layers[0]?.length ?? 0
  const capacity = Array.from({ length: (layers.length + 1) * length }, () => new Map<number, number>())
  layers.forEach((layer, level) =>
    layer.forEach((row, token) =>
      row.forEach((weight, key) => {
        if (weight > 0) capacity[(level + 1) * length + token]!.set(level * length + key, weight)
      }),
    ),
  )
  return capacity
}

/** What is narrower counts as closed, or rounding would widen paths for ever. */
const narrowest = 1e-12

function shortestPath(capacity: readonly Map<number, number>[], source: number, target: number): [number, number][] | undefined {
  const cameFrom = new Map<number, number>([[source, source]])
  const queue = [source]
  for (const node of queue) {
    if (node === target) break
    for (const [next, width] of capacity[node]!) {
      if (width <= narrowest || cameFrom.has(next)) continue
      cameFrom.set(next, node)
      queue.push(next)
    }
  }
  if (!cameFrom.has(target)) return undefined
  const path: [number, number][] = []
  for (let node = target; node !== source; node = cameFrom.get(node)!) path.push([cameFrom.get(node)!, node])
  return path
}
