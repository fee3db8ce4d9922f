import { permute, slice, tensor, toFloat32, type HostTensor } from '@qkv/core'
import { attention } from '@qkv/attention'
import { cascadeAttention, packedAttention } from '@qkv/attention/batches'
import { alibi, rotary } from '@qkv/positional'
import { expect, it } from 'vitest'
import { expectReference, normal, outputOf, valuesOf, type Subject } from './subject.ts'

/** What holds for packed and cascaded batches on any backend. */
export function batchClaims(subject: () => Subject): void {
  const queryOffsets = [0, 5, 5, 12, 13]
  const keyOffsets = [0, 9, 10, 30, 30]
  const q = normal('packed q', [13, 4, 16])
  const k = normal('packed k', [30, 2, 16])
  const v = normal('packed v', [30, 2, 8])

  it('packed sequences come out as each does alone', async () => {
    const { backend } = subject()
    for (const options of [
      {},
      { causal: true, softcap: 3 },
      { causal: true, window: { left: 3 }, sinks: [0.1, -1, 2, 0] },
      { position: rotary({ dim: 16 }) },
      { position: alibi({ heads: 4 }) },
    ]) {
      const { output, lse } = await packedAttention(q, k, v, { ...options, backend, queryOffsets, keyOffsets, lse: true })
      const [packed, sums] = [await valuesOf(subject(), output), await valuesOf(subject(), lse!)]
      expect([output.shape, lse!.shape]).toEqual([
        [13, 4, 8],
        [13, 4],
      ])
      for (let sequence = 0; sequence < 4; sequence++) {
        const [start, end] = [queryOffsets[sequence]!, queryOffsets[sequence + 1]!]
        const keys = [keyOffsets[sequence]!, keyOffsets[sequence + 1]!] as const
        const alone = await attention(sequenceOf(q, start, end), sequenceOf(k, ...keys), sequenceOf(v, ...keys), {
          ...options,
          backend,
          lse: true,
        })
        const byLength = permute(alone.output, [0, 2, 1, 3])
        expect(packed.subarray(start * 32, end * 32)).toEqual(await valuesOf(subject(), byLength))
        expect(sums.subarray(start * 4, end * 4)).toEqual(await valuesOf(subject(), permute(alone.lse!, [0, 2, 1])))
        alone.output.dispose()
        alone.lse!.dispose()
      }
      output.dispose()
      lse!.dispose()
    }
  })

  it('packed sequences share offsets where they attend to themselves', async () => {
    const { backend } = subject()
    const self = slice(k, 0, 0, 13)
    const { output } = await packedAttention(q, self, slice(v, 0, 0, 13), { backend, queryOffsets, causal: true })
    const values = await valuesOf(subject(), output)
    output.dispose()
    const alone = await outputOf(
      subject(),
      attention(sequenceOf(q, 5, 12), sequenceOf(k, 5, 12), sequenceOf(v, 5, 12), { backend, causal: true }),
    )
    const byLength = alone.map((_, index) => alone[((Math.floor(index / 8) % 4) * 7 + Math.floor(index / 32)) * 8 + (index % 8)]!)
    expect(values.subarray(5 * 32, 12 * 32)).toEqual(byLength)
  })

  it('packed sequences drop weights of their own', async () => {
    const { backend } = subject()
    const [query, key, value] = [q, k, v].map((view) => slice(view, 0, 0, 5) as HostTensor) as [HostTensor, HostTensor, HostTensor]
    const twice = (view: HostTensor): HostTensor =>
      tensor(Float32Array.from([...toFloat32(view), ...toFloat32(view)]), [10, ...view.shape.slice(1)])
    const { output } = await packedAttention(twice(query), twice(key), twice(value), {
      backend,
      queryOffsets: [0, 5, 10],
      dropout: { probability: 0.5, seed: 7 },
    })
    const packed = await valuesOf(subject(), output)
    output.dispose()
    for (const sequence of [0, 1]) {
      const alone = await packedAttention(query, key, value, {
        backend,
        queryOffsets: [0, 5],
        dropout: { probability: 0.5, seed: 7 + sequence },
      })
      expect(packed.subarray(sequence * 160, (sequence + 1) * 160)).toEqual(await valuesOf(subject(), alone.output))
      alone.output.dispose()
    }
    expect(packed.subarray(0, 160)).not.toEqual(packed.subarray(160))
  })

  it('refuses offsets that do not fit', async () => {
    const { backend } = subject()
    const packed = (offsets: readonly number[], keys: readonly number[] = keyOffsets) =>
      packedAttention(q, k, v, { backend, queryOffsets: offsets, keyOffsets: keys })
    await expect(packed([0, 5, 4, 13, 13])).rejects.toThrow(
      'packedAttention: queryOffsets must be whole numbers that rise from 0 to 13; received [0,5,4,13,13]',
    )
    await expect(packed([0, 12])).rejects.toThrow('queryOffsets must be whole numbers that rise from 0 to 13')
    await expect(packed(queryOffsets, [0, 30])).rejects.toThrow('keyOffsets must be 5 numbers, as queryOffsets has; received 2')
    await expect(packedAttention(q, k, slice(v, 0, 0, 5), { backend, queryOffsets, keyOffsets })).rejects.toThrow(
      'value must be [30,2,…]',
    )
  })

  it.each([1, 3])('a cascade of %i queries each is attention over the prefix and each sequence’s own keys', async (queryLength) => {
    const { backend } = subject()
    const query = normal('cascade q', [3, 4, queryLength, 16])
    const prefix = { key: normal('prefix k', [1, 2, 11, 16]), value: normal('prefix v', [1, 2, 11, 8]) }
    const own = { key: normal('own k', [3, 2, 6, 16]), value: normal('own v', [3, 2, 6, 8]) }
    const lengths = [6, 4, 5]
    const sinks = [0.5, -1, 0, 2]
    const { output, lse } = await cascadeAttention(query, prefix, own, { backend, causal: true, softcap: 4, sinks, lengths })
    const values = await valuesOf(subject(), output)
    expect(lse?.shape).toEqual([3, 4, queryLength])
    const size = values.length / 3
    lengths.forEach((length, sequence) => {
      const joined = (shared: HostTensor, each: HostTensor): HostTensor =>
        concatenated(shared, slice(slice(each, 0, sequence, sequence + 1), 2, 0, length))
      expectReference(
        subject(),
        values.subarray(sequence * size, (sequence + 1) * size),
        slice(query, 0, sequence, sequence + 1),
        joined(prefix.key, own.key),
        joined(prefix.value, own.value),
        { causal: true, softcap: 4, sinks },
      )
    })
    output.dispose()
    lse?.dispose()
  })

  it('a cascade refuses what would not act alike on both parts', async () => {
    const part = { key: k, value: v }
    const given = { backend: subject().backend, window: { left: 2 } }
    await expect(cascadeAttention(q, part, part, given)).rejects.toThrow('cascadeAttention: window must be absent')
  })
}

function sequenceOf(packed: HostTensor, start: number, end: number): HostTensor {
  const [, heads = 0, dim = 0] = packed.shape
  return tensor(toFloat32(permute(slice(packed, 0, start, end), [1, 0, 2])), [1, heads, end - start, dim])
}

function concatenated(first: HostTensor, then: HostTensor): HostTensor {
  const [, heads = 0, length = 0, dim = 0] = first.shape
  const rest = then.shape[2] ?? 0
  const [a, b] = [toFloat32(first), toFloat32(then)]
  const values = Array.from({ length: heads }, (_, head) => [
    ...a.subarray(head * length * dim, (head + 1) * length * dim),
    ...b.subarray(head * rest * dim, (head + 1) * rest * dim),
  ])
  return tensor(values.flat(), [1, heads, length + rest, dim])
}
