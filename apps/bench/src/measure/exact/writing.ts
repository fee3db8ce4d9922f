import { toFloat64, type HostTensor } from '@qkv/core'
import { readLlama2cCheckpoint, readLlama2cTokenizer, type DecoderCheckpoint } from '@qkv/transformer'
import type { WritingCase } from '../../cases/case.ts'
import { requireModel, type ModelFiles } from '../../peers/peer.ts'
import type { Sample } from './sample.ts'

/** The tokens that float64 writes: a contestant writes the same, or something else. */
export function* writtenSamples(
  { prompt, tokens }: WritingCase,
  result: Float32Array,
  files: ModelFiles | undefined,
): Generator<Sample> {
  const { checkpoint, tokenizer } = requireModel(files)
  const exact = write(readLlama2cCheckpoint(checkpoint), readLlama2cTokenizer(tokenizer).encode(prompt), tokens)
  for (let i = 0; i < tokens; i++) yield { actual: result[i] ?? NaN, exact: exact[i]!, bound: undefined }
}

/** Greedy, a Llama as a textbook writes it: one token at a time, one head at a time, in float64. */
function write(model: DecoderCheckpoint, prompt: readonly number[], count: number): number[] {
  const caches = model.blocks.map((): Cache => ({ keys: [], values: [] }))
  const tokens = [...prompt]
  for (let position = 0; tokens.length < prompt.length + count; position++) {
    const logits = step(model, caches, tokens[position]!, position)
    if (position === tokens.length - 1) tokens.push(logits.indexOf(Math.max(...logits)))
  }
  return tokens.slice(prompt.length)
}

interface Cache {
  readonly keys: Float64Array[]
  readonly values: Float64Array[]
}

function step(
  { sizes, blocks, embedding, norm, head }: DecoderCheckpoint,
  caches: readonly Cache[],
  token: number,
  position: number,
) {
  const { modelDim, heads, kvHeads, headDim } = sizes
  let hidden: Float64Array = floats(embedding).slice(token * modelDim, (token + 1) * modelDim)
  blocks.forEach(({ attentionNorm, attention, feedForwardNorm, feedForward }, layer) => {
    const { keys, values } = caches[layer]!
    const read = normed(hidden, attentionNorm.weight)
    const query = rotated(times(attention['query.weight']!, read), position, headDim)
    keys.push(rotated(times(attention['key.weight']!, read), position, headDim))
    values.push(times(attention['value.weight']!, read))
    const merged = new Float64Array(modelDim)
    for (let h = 0; h < heads; h++) {
      const [from, shared] = [h * headDim, Math.floor((h * kvHeads) / heads) * headDim]
      const weights = keys.map((key) => Math.exp(dot(query, from, key, shared, headDim) / Math.sqrt(headDim)))
      const sum = weights.reduce((total, weight) => total + weight, 0)
      weights.forEach((weight, j) => {
        for (let c = 0; c < headDim; c++) merged[from + c]! += (weight / sum) * values[j]![shared + c]!
      })
    }
    hidden = plus(hidden, times(attention['output.weight']!, merged))
    const fed = normed(hidden, feedForwardNorm.weight)
    if (feedForward.kind !== 'gated') throw new Error('a Llama has gates')
    const up = times(feedForward.up.weight, fed)
    const inner = times(feedForward.gate.weight, fed).map((x, c) => (x / (1 + Math.exp(-x))) * up[c]!)
    hidden = plus(hidden, times(feedForward.down.weight, inner))
  })
  return times(head.weight, normed(hidden, norm.weight))
}

function normed(row: Float64Array, weight: HostTensor): Float64Array {
  const mean = row.reduce((sum, x) => sum + x * x, 0) / row.length
  return row.map((x, c) => (x / Math.sqrt(mean + 1e-5)) * floats(weight)[c]!)
}

/** Pairs (2i, 2i + 1) of each head turn by position · 10,000^(−2i/headDim). */
function rotated(row: Float64Array, position: number, headDim: number): Float64Array {
  const turned = new Float64Array(row.length)
  for (let i = 0; i < row.length; i += 2) {
    const angle = position * 10_000 ** (-(i % headDim) / headDim)
    turned[i] = row[i]! * Math.cos(angle) - row[i + 1]! * Math.sin(angle)
    turned[i + 1] = row[i + 1]! * Math.cos(angle) + row[i]! * Math.sin(angle)
  }
  return turned
}

function times(weight: HostTensor, row: Float64Array): Float64Array {
  const matrix = floats(weight)
  return Float64Array.from({ length: matrix.length / row.length }, (_, o) => dot(matrix, o * row.length, row, 0, row.length))
}

function dot(a: Float64Array, from: number, b: Float64Array, start: number, count: number): number {
  let sum = 0
  for (let c = 0; c < count; c++) sum += a[from + c]! * b[start + c]!
  return sum
}

function plus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((x, c) => x + b[c]!)
}

const converted = new WeakMap<HostTensor, Float64Array>()

function floats(tensor: HostTensor): Float64Array {
  const known = converted.get(tensor) ?? toFloat64(tensor)
  converted.set(tensor, known)
  return known
}
