import { toFloat64, type Activation, type HostTensor } from '@qkv/core'
import type { DecoderCheckpoint, FeedForwardWeights, LinearWeights, NormWeights } from '@qkv/transformer'

type Vector = Float64Array

/**
 * A decoder as a textbook writes it, in float64, one token at a time and one head at a time: the logits after each token,
 * and the weights [layer][head][query][key] of all heads.
 */
export function plainDecoder(checkpoint: DecoderCheckpoint, tokens: readonly number[]): { logits: Vector[]; maps: number[][][][] } {
  const { sizes, positions, embedding, blocks, norm, head } = checkpoint
  const { heads, kvHeads, headDim } = sizes
  let hidden = tokens.map((token, position) => {
    const row = rowOf(embedding, token)
    return positions.kind === 'learned' ? add(row, rowOf(positions.table, position)) : row
  })
  const maps = blocks.map(({ attentionNorm, attention, feedForwardNorm, feedForward }) => {
    const normed = hidden.map((row) => normalise(row, attentionNorm))
    const projection = (name: string): LinearWeights => ({ weight: attention[`${name}.weight`]!, bias: attention[`${name}.bias`] })
    const project = (name: string, rotates: boolean): Vector[] =>
      normed.map((row, position) => {
        const projected = linear(row, projection(name))
        return rotates && positions.kind === 'rotary' ? rotate(projected, position, headDim, positions) : projected
      })
    const queries = project('query', true)
    const keys = project('key', true)
    const values = project('value', false)
    const weightsOfHead = Array.from({ length: heads }, (_, h) => {
      const shared = Math.floor(h / (heads / kvHeads))
      return queries.map((query, i) => {
        const own = query.subarray(h * headDim, (h + 1) * headDim)
        return softmax(keys.slice(0, i + 1).map((key) => dot(own, key.subarray(shared * headDim)) / Math.sqrt(headDim)))
      })
    })
    const attended = queries.map((_, i) => {
      const merged = new Float64Array(heads * headDim)
      weightsOfHead.forEach((rows, h) => {
        const shared = Math.floor(h / (heads / kvHeads))
        rows[i]!.forEach((weight, j) => {
          for (let c = 0; c < headDim; c++) merged[h * headDim + c]! += weight * values[j]![shared * headDim + c]!
        })
      })
      return linear(merged, projection('output'))
    })
    hidden = hidden.map((row, i) => add(row, attended[i]!))
    hidden = hidden.map((row) => add(row, feed(normalise(row, feedForwardNorm), feedForward)))
    return weightsOfHead
  })
  return { logits: hidden.map((row) => linear(normalise(row, norm), head)), maps }
}

function normalise(row: Vector, norm: NormWeights): Vector {
  const mean = norm.kind === 'rms' ? 0 : row.reduce((sum, x) => sum + x, 0) / row.length
  const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length
  const weight = toFloat64(norm.weight)
  const bias = norm.kind === 'layer' && norm.bias ? toFloat64(norm.bias) : undefined
  return row.map((x, c) => ((x - mean) / Math.sqrt(variance + norm.epsilon)) * weight[c]! + (bias?.[c] ?? 0))
}

function feed(row: Vector, weights: FeedForwardWeights): Vector {
  const up = linear(row, weights.up)
  const inner =
    weights.kind === 'gated'
      ? linear(row, weights.gate).map((x, c) => activate(x, weights.activation) * up[c]!)
      : up.map((x) => activate(x, weights.activation))
  return linear(inner, weights.down)
}

function activate(x: number, activation: Activation): number {
  if (activation === 'silu') return x / (1 + Math.exp(-x))
  if (activation === 'gelu-tanh') return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
  throw new Error(`the plain decoder knows no ${activation}`)
}

function rotate(row: Vector, position: number, headDim: number, { base, layout }: { base: number; layout: string }): Vector {
  const turned = row.slice()
  for (let start = 0; start < row.length; start += headDim) {
    for (let pair = 0; pair < headDim / 2; pair++) {
      const [a, b] = layout === 'half' ? [start + pair, start + pair + headDim / 2] : [start + 2 * pair, start + 2 * pair + 1]
      const angle = position * base ** ((-2 * pair) / headDim)
      turned[a] = row[a]! * Math.cos(angle) - row[b]! * Math.sin(angle)
      turned[b] = row[b]! * Math.cos(angle) + row[a]! * Math.sin(angle)
    }
  }
  return turned
}

function linear(row: Vector, { weight, bias }: LinearWeights): Vector {
  const [outputs = 0] = weight.shape
  const flat = bias ? toFloat64(bias) : undefined
  return Float64Array.from({ length: outputs }, (_, o) => dot(row, rowOf(weight, o)) + (flat?.[o] ?? 0))
}

const converted = new WeakMap<HostTensor, Vector>()

function rowOf(table: HostTensor, row: number): Vector {
  const values = converted.get(table) ?? toFloat64(table)
  converted.set(table, values)
  const [, width = 0] = table.shape
  return values.subarray(row * width, (row + 1) * width)
}

function softmax(scores: readonly number[]): number[] {
  const highest = Math.max(...scores)
  const weights = scores.map((score) => Math.exp(score - highest))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight) => weight / total)
}

/** Of `a` with the leading elements of `b`. */
function dot(a: Vector, b: Vector): number {
  let sum = 0
  for (let c = 0; c < a.length; c++) sum += a[c]! * b[c]!
  return sum
}

function add(a: Vector, b: Vector): Vector {
  return a.map((x, c) => x + b[c]!)
}
