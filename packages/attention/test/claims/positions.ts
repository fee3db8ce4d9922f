import { composeScores, roundTo, slice, tensor, toFloat64, type HostTensor, type RotaryTable, type ScoreMod } from '@qkv/core'
import {
  attention,
  cachedAttention,
  inspect,
  KeyValueCache,
  MultiHeadAttention,
  SlidingCache,
  type AttentionCache,
  type PositionOptions,
} from '@qkv/attention'
import { PagedCache, PagePool } from '@qkv/attention/paged'
import { alibi, rotary, t5Bias, temperature, type ContentScore } from '@qkv/positional'
import { fromConfig } from '@qkv/positional/config'
import { cope, disentangled, relativeKeyQuery, shaw, transformerXl } from '@qkv/positional/content'
import { expect, it, vi } from 'vitest'
import type { LayerOptions } from './arrangements.ts'
import { expectEstimated, someRows } from './estimates.ts'
import { naiveLayer } from './naive-layer.ts'
import { expectAlike, expectReference, home, normal, outputOf, valuesOf, type Subject } from './subject.ts'

/** One of each kind that follows content, over four heads of 16. */
export const contentEncodings: Readonly<Record<string, ContentScore>> = {
  Shaw: shaw({ table: normal('Shaw', [9, 16], 0.5) }),
  relative_key_query: relativeKeyQuery({ table: normal('relative', [41, 16], 0.5) }),
  DeBERTa: disentangled({
    positionKeys: normal('position keys', [4, 8, 16], 0.5),
    positionQueries: normal('position queries', [4, 8, 16], 0.5),
    maxDistance: 12,
  }),
  'Transformer-XL': transformerXl({
    contentBias: normal('u', [4, 16], 0.5),
    positionBias: normal('v', [4, 16], 0.5),
    projection: normal('W', [4, 16, 6], 0.5),
  }),
  CoPE: cope({ table: normal('counts', [6, 16], 0.5) }),
}

/** What holds for positional encodings on any backend, alone and stacked. */
export function positionClaims(subject: () => Subject): void {
  const q = normal('positions q', [2, 4, 5, 16])
  const k = normal('positions k', [2, 2, 12, 16])
  const v = normal('positions v', [2, 2, 12, 8])
  const attend = (position: PositionOptions['position'], lengths?: readonly number[]): Promise<Float64Array> =>
    outputOf(subject(), attention(q, k, v, { backend: subject().backend, position, causal: true, lengths }))
  const turned = async (view: HostTensor, table: RotaryTable): Promise<HostTensor> => {
    using made = subject().backend.rotate(view, table)
    return home(subject(), made)
  }

  const turn = rotary({ dim: 12 })
  const slopes = alibi({ heads: 4 })
  const warmth = temperature({ beta: 0.5, floor: 4 })
  const bias = t5Bias({ table: normal('t5', [8, 4]), maxDistance: 16 })

  it.each([
    ['rotary, slopes, a temperature', [turn, slopes, warmth], [slopes, warmth]],
    ['a temperature, slopes, rotary', [warmth, slopes, turn], [warmth, slopes]],
    ['buckets, rotary, a temperature', [bias, turn, warmth], [bias, warmth]],
  ] as const)('stacked: %s', async (name, position, scores) => {
    const query = await turned(q, turn.table({ start: 7, length: 5 }))
    const key = await turned(k, turn.table({ start: 0, length: 12 }))
    const score = composeScores(...scores.map(({ scoreMod }) => scoreMod))
    expectReference(subject(), await attend(position), query, key, v, { score, causal: true }, name)
  })

  it('changes scores in the order of the list', async () => {
    expect(await attend([slopes, warmth])).not.toEqual(await attend([warmth, slopes]))
    expect(await attend([turn, slopes])).toEqual(await attend([slopes, turn]))
  })

  it('a list of one is the one, a list of none is none', async () => {
    expect(await attend([turn])).toEqual(await attend(turn))
    expect(await attend([])).toEqual(await attend(undefined))
  })

  it.each(Object.entries(contentEncodings))('%s stacks with what turns vectors and what changes scores', async (name, encoding) => {
    const terms = encoding.terms({ query: q, key: k, scale: 0.25 })
    const query = await turned(terms.query, turn.table({ start: 7, length: 5 }))
    const key = await turned(terms.key, turn.table({ start: 0, length: 12 }))
    const mods = [terms.scoreMod, slopes.scoreMod].filter((mod): mod is ScoreMod => mod !== undefined)
    const options = { score: composeScores(...mods), causal: true, scale: 0.25 }
    expectReference(subject(), await attend([encoding, turn, slopes]), query, key, v, options, name)
  })

  it.each(Object.entries(contentEncodings))('%s has the last query stand at the last valid key', async (_, position) => {
    const padded = await attend(position, [12, 9])
    const alone = await outputOf(
      subject(),
      attention(slice(q, 0, 1, 2), slice(slice(k, 0, 1, 2), 2, 0, 9), slice(slice(v, 0, 1, 2), 2, 0, 9), {
        backend: subject().backend,
        position,
        causal: true,
      }),
    )
    expectAlike(padded.subarray(padded.length / 2), alone)
  })

  it.each(Object.entries(contentEncodings))('%s decodes from a cache to what it gives at once', async (_, encoding) => {
    const { backend } = subject()
    const position = [encoding, slopes]
    const self = normal('positions self', [1, 4, 12, 16])
    const [key, value] = [slice(k, 0, 0, 1), slice(v, 0, 0, 1)]
    const whole = await outputOf(subject(), attention(self, key, value, { backend, position, causal: true }))
    using pool = new PagePool({ backend, heads: 2, headDim: 16, valueDim: 8, pages: 6, pageSize: 4 })
    for (const cache of [new KeyValueCache({ backend, heads: 2, headDim: 16, valueDim: 8 }), new PagedCache({ pool })]) {
      for (const [start, end] of [
        [0, 9],
        [9, 12],
      ] as const) {
        await cache.append(slice(key, 2, start, end), slice(value, 2, start, end))
        const part = await outputOf(subject(), cachedAttention(slice(self, 2, start, end), cache, { position }))
        for (let head = 0; head < 4; head++) {
          const own = whole.subarray((head * 12 + start) * 8, (head * 12 + end) * 8)
          expectAlike(part.subarray(head * (end - start) * 8, (head + 1) * (end - start) * 8), own)
        }
      }
      cache.dispose()
    }
  })

  it('is refused where a cache has not what it takes', async () => {
    const { backend } = subject()
    const shape = { backend, heads: 2, headDim: 16, valueDim: 8 }
    const refusal = async (cache: AttentionCache, position: PositionOptions['position']): Promise<unknown> => {
      for (let token = 0; token < 12; token++) {
        await cache.append(slice(slice(k, 0, 0, 1), 2, token, token + 1), slice(slice(v, 0, 0, 1), 2, token, token + 1))
      }
      const refused = await cachedAttention(slice(slice(q, 0, 0, 1), 2, 4, 5), cache, { position }).catch((error: unknown) => error)
      cache.dispose()
      return refused
    }
    const one = contentEncodings['Shaw']!
    expect(await refusal(new SlidingCache({ ...shape, window: 2 }), one)).toMatchObject({
      expected: 'encodings that follow positions alone, with a cache that has dropped tokens',
    })
    expect(await refusal(new KeyValueCache({ ...shape, dtype: 'int8' }), one)).toMatchObject({
      expected: 'encodings that follow positions alone, with quantised keys',
    })
    expect(await refusal(new KeyValueCache(shape), [slopes, turn])).toMatchObject({ argument: 'position' })
  })

  it('keys in halves serve encodings that make their own', async () => {
    const { backend } = subject()
    const half = (view: HostTensor): HostTensor => tensor(roundTo(toFloat64(view), 'float16'), view.shape, { dtype: 'float16' })
    const position = contentEncodings['Transformer-XL']!
    const actual = await outputOf(subject(), attention(q, half(k), half(v), { backend, position }))
    const { query, key } = position.terms({ query: q, key: half(k), scale: 0.25 })
    const value = tensor(Float32Array.from(toFloat64(half(v))), v.shape)
    expectReference(subject(), actual, query, key, value, { scale: 0.25 })
  })

  it('layers take the lists of a model’s config, and decode to what they give at once', async () => {
    const { backend } = subject()
    const layers = fromConfig({
      model_type: 'llama4_text',
      hidden_size: 32,
      num_attention_heads: 4,
      num_hidden_layers: 4,
      max_position_embeddings: 64,
      rope_theta: 10000,
      no_rope_layers: [1, 1, 1, 0],
      floor_scale: 4,
      attn_scale: 0.5,
    })
    expect(layers.map(({ encodings }) => encodings.map(({ kind }) => kind))).toEqual([
      ['rotary'],
      ['rotary'],
      ['rotary'],
      ['score'],
    ])
    const input = normal('layer input', [1, 11, 32])
    const outputs: ArrayLike<number>[] = []
    for (const { encodings } of [layers[0]!, layers[3]!, { encodings: [...layers[0]!.encodings, ...layers[3]!.encodings] }]) {
      const options: LayerOptions = { modelDim: 32, heads: 4, kvHeads: 2, causal: true, position: encodings }
      using layer = new MultiHeadAttention({ ...options, backend })
      const exact = naiveLayer(input, input, layer.config, options, await layer.state(), subject().platform)
      using cache = new KeyValueCache({ backend, heads: 2, headDim: 8 })
      for (const [start, end] of [
        [0, 6],
        [6, 7],
        [7, 11],
      ] as const) {
        using part = await layer.forward(slice(input, 1, start, end), { cache })
        const rows = someRows(exact, 32, (row) => row >= start && row < end)
        expectEstimated(subject(), await valuesOf(subject(), part), rows, 32)
      }
      outputs.push(exact.values)
    }
    expect(outputs[2]).not.toEqual(outputs[0])
    expect(outputs[2]).not.toEqual(outputs[1])
  })

  it.each(Object.entries(contentEncodings))(
    'a layer with %s and a rotary one decodes to what it gives at once',
    async (_, encoding) => {
      const { backend } = subject()
      const input = normal('layer input', [1, 11, 64])
      for (const position of [
        [encoding, rotary({ dim: 16 })],
        [rotary({ dim: 8, type: 'dynamic', factor: 2, max_position_embeddings: 4 }), encoding, slopes],
      ]) {
        using layer = new MultiHeadAttention({ backend, modelDim: 64, heads: 4, kvHeads: 2, causal: true, position })
        using whole = await layer.forward(input)
        const expected = await valuesOf(subject(), whole)
        using cache = new KeyValueCache({ backend, heads: 2, headDim: 16 })
        await layer.forward(slice(input, 1, 0, 10), { cache }).then((output) => output.dispose())
        using part = await layer.forward(slice(input, 1, 10, 11), { cache })
        expectAlike(await valuesOf(subject(), part), expected.subarray(10 * 64))
      }
    },
  )

  it('refuses what no vector has room for, and lengths that frequencies cannot follow, before anything turns', async () => {
    const { backend } = subject()
    const rotate = vi.spyOn(backend, 'rotate')
    const ask = (position: PositionOptions['position'], lengths?: readonly number[]) =>
      attention(q, k, v, { backend, position, lengths })
    await expect(ask([turn, rotary({ dim: 18 })])).rejects.toThrow('rotary over at most the head size 16; received one over 18')
    const dynamic = rotary({ dim: 16, type: 'dynamic', factor: 2, max_position_embeddings: 4 })
    await expect(ask(dynamic, [12, 9])).rejects.toThrow('position must be rotary that does not follow the length')
    expect(rotate).not.toHaveBeenCalled()
    rotate.mockRestore()
    expect(() => new MultiHeadAttention({ backend, modelDim: 16, heads: 2, position: rotary({ dim: 16 }) })).toThrow(
      'MultiHeadAttention: position must be rotary over at most the head size 8; received one over 16',
    )
  })

  it('inspection sees the weights that attention has', async () => {
    const { backend } = subject()
    const basis = tensor(
      Float32Array.from({ length: 12 * 12 }, (_, index) => (index % 13 === 0 ? 1 : 0)),
      [1, 1, 12, 12],
    )
    const [query, key] = [slice(q, 0, 0, 1), slice(slice(k, 0, 0, 1), 1, 0, 1)]
    for (const encoding of Object.values(contentEncodings)) {
      const options = { backend, causal: true, position: [encoding, turn, slopes, warmth] }
      const weights = await outputOf(subject(), attention(query, key, basis, options))
      const map = inspect.weights(query, key, { causal: true, position: options.position })
      expectAlike(
        weights,
        map.flatMap((rows) => rows.flatMap((row) => [...row])),
      )
    }
  })
}
