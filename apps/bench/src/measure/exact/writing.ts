import { toFloat64, type HostTensor } from '@qkv/core'
import { readLlama2cCheckpoint, readLlama2cTokenizer, type DecoderCheckpoint } from '@qkv/transformer'
import type { WritingCase } from '../../cases/case.ts'
import { requireModel, type ModelFiles } from '../../peers/peer.ts'
import { attendInto, logistic, times } from './float64.ts'
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
    const query = rotated(times(floats(attention['query.weight']!), read), position, headDim)
    keys.push(rotated(times(floats(attention['key.weight']!), read), position, headDim))
    values.push(times(floats(attention['value.weight']!), read))
    const merged = new Float64Array(modelDim)
    for (let h = 0; h < heads; h++) {
      const [start, end] = [h * headDim, (h + 1) * headDim]
      const shared = Math.floor((h * kvHeads) / heads) * headDim
      attendInto(merged.subarray(start, end), query.subarray(start, end), keys, values, shared)
    }
    hidden = plus(hidden, times(floats(attention['output.weight']!), merged))
    const fed = normed(hidden, feedForwardNorm.weight)
    if (feedForward.kind !== 'gated') throw new Error('a Llama has gates')
    const up = times(floats(feedForward.up.weight), fed)
    const inner = times(floats(feedForward.gate.weight), fed).map((x, c) => x * logistic(x) * up[c]!)
    hidden = plus(hidden, times(floats(feedForward.down.weight), inner))
  })
  return times(floats(head.weight), normed(hidden, norm.weight))
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

function plus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((x, c) => x + b[c]!)
}

const converted = new WeakMap<HostTensor, Float64Array>()

function floats(tensor: HostTensor): Float64Array {
  const known = converted.get(tensor) ?? toFloat64(tensor)
  converted.set(tensor, known)
  return known
}
