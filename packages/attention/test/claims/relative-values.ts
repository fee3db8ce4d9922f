import { maskMod, tensor, toFloat64, type HostTensor } from '@qkv/core'
import { inspect } from '@qkv/attention'
import { relativeValueAttention, type RelativeValueOptions } from '@qkv/attention/relative-values'
import { shaw } from '@qkv/positional/content'
import { expect, it } from 'vitest'
import { expectAlike, normal, valuesOf, type Subject } from './subject.ts'

type Options = Omit<RelativeValueOptions, 'backend'>

/** What holds for values that take on vectors of distances, on any backend. */
export function relativeValueClaims(subject: () => Subject): void {
  const q = normal('relative q', [2, 4, 7, 8])
  const k = normal('relative k', [2, 2, 12, 8])
  const v = normal('relative v', [2, 2, 12, 6])
  const table = (rows: number): HostTensor => normal(`relative values ${rows}`, [rows, 6])
  const cases: Record<string, Options> = {
    'as far back as ahead': { relativeValues: { table: table(7) } },
    'of one distance, of two, causal': { relativeValues: { table: table(1) }, causal: true },
    'of two distances': { relativeValues: { table: table(2), left: 1 } },
    'further back than ahead, by a table for keys as well': {
      relativeValues: { table: table(6), left: 4 },
      position: shaw({ table: normal('relative keys', [6, 8]), left: 4 }),
    },
    'with nothing beyond, as in VITS': { relativeValues: { table: table(5), beyond: 'nothing' } },
    'with sinks, a mask, a window and lengths': {
      relativeValues: { table: table(5) },
      sinks: [0.5, -1, 0, 2],
      mask: maskMod(({ query, key }) => key.sub(query).mod(5).ne(1)),
      window: { left: 6 },
      causal: true,
      lengths: [12, 9],
      softcap: 3,
    },
  }

  it.each(Object.entries(cases))('%s: is what weights, values and vectors sum up to', async (_, options) => {
    const { backend } = subject()
    const { output, lse } = await relativeValueAttention(q, k, v, { ...options, backend })
    const actual = await valuesOf(subject(), output)
    expect([output.shape, lse?.shape]).toEqual([
      [2, 4, 7, 6],
      [2, 4, 7],
    ])
    const expected = [0, 1].flatMap((entry) => byHand(entry, options))
    expectAlike(actual, expected)
    output.dispose()
    lse?.dispose()
  })

  /** One batch entry, from the weights that `inspect` gives. */
  function byHand(entry: number, options: Options): number[] {
    const { relativeValues, ...weighed } = options
    const { table: given, left = (given.shape[0]! - 1) / 2, beyond = 'nearest' } = relativeValues
    const [r, values] = [toFloat64(given), toFloat64(v)]
    const last = given.shape[0]! - 1
    const first = (Array.isArray(weighed.lengths) ? weighed.lengths[entry]! : 12) - 7
    return inspect.weights(q, k, { ...weighed, batch: entry }).flatMap((rows, head) =>
      rows.flatMap((weights, i) =>
        Array.from({ length: 6 }, (_, c) =>
          weights.reduce((sum, weight, j) => {
            const step = j - (first + i) + left
            const inside = step >= 0 && step <= last
            const vector = inside || beyond === 'nearest' ? r[Math.max(0, Math.min(last, step)) * 6 + c]! : 0
            return sum + weight * (values[((entry * 2 + Math.floor(head / 2)) * 12 + j) * 6 + c]! + vector)
          }, 0),
        ),
      ),
    )
  }

  it('refuses what does not fit', async () => {
    const { backend } = subject()
    const ask = (options: Partial<Options>) =>
      relativeValueAttention(q, k, v, { relativeValues: { table: table(5) }, ...options, backend })
    await expect(ask({ relativeValues: { table: table(4) } })).rejects.toThrow(
      'relativeValues.left must be whole, from 0 to 3; received 1.5',
    )
    await expect(ask({ relativeValues: { table: normal('wide', [5, 7]) } })).rejects.toThrow('table must be […,6]; received [5,7]')
    await expect(ask({ mask: tensor([true], [1]) })).rejects.toThrow('mask must be an expression (maskMod); received a tensor')
  })
}
