import { problem, reference, toFloat64 } from '@qkv/core'
import { attention, cachedAttention, KeyValueCache, type AttentionOptions } from '@qkv/attention'
import { expectWithinBound } from '@qkv/testing'
import { onnxAttentions, onnxFolder, type OnnxAttention } from '@qkv/testing/onnx-vectors'
import { describe, it } from 'vitest'
import { outputOf, type Subject } from './subject.ts'

/** The ONNX standard's vectors of `Attention`, through the API: those with a past also through a cache. */
export function onnxClaims(subject: () => Subject): void {
  describe.skipIf(onnxFolder === undefined)('ONNX vectors', () => {
    for (const vector of onnxAttentions()) {
      it(vector.name, async () => {
        const { query, key, value, options } = vector
        expectVector(
          subject(),
          vector,
          await outputOf(subject(), attention(query, key, value, { ...options, backend: subject().backend })),
        )
        if (vector.cache) expectVector(subject(), vector, await throughCache(subject(), vector, vector.cache))
      })
    }
  })
}

async function throughCache(
  subject: Subject,
  { query, key, value, options }: OnnxAttention,
  { past, added }: NonNullable<OnnxAttention['cache']>,
): Promise<Float64Array> {
  const { backend } = subject
  const [batch = 0, heads = 0, , headDim = 0] = key.shape
  using cache = new KeyValueCache({ backend, batch, heads, headDim, valueDim: value.shape[3] ?? 0, dtype: key.dtype as 'float32' })
  await cache.append(past.key, past.value)
  await cache.append(added.key, added.value)
  const asked: Omit<AttentionOptions, 'backend'> = { ...options, causal: options.causal ?? false }
  return await outputOf(subject, cachedAttention(query, cache, asked))
}

function expectVector(
  { platform }: Subject,
  { name, query, key, value, options, output }: OnnxAttention,
  actual: Float64Array,
): void {
  const values = toFloat64(output)
  const { bound } = reference(problem(query, key, value, options), { backend: platform })
  const stored = query.dtype === 'float16' ? 2 ** -11 : 2 ** -24
  const allowed = bound.map((own, index) => own + stored * Math.abs(values[index]!))
  expectWithinBound(actual, { values, bound: allowed }, { name: 'output', shape: output.shape, token: name, backend: platform })
}
