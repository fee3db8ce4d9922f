import { problem, reference, referenceGradient, slice, tensor, toFloat64, type HostTensor } from '@qkv/core'
import { createCpuBackend } from '@qkv/cpu'
import { expectWithinBound } from '@qkv/testing'
import { describe, expect, test } from 'vitest'
import { disentangled, relativeKey, shaw } from '@qkv/positional/content'
import { contentClaims, contentSizes } from './claims/content.ts'
import { floats } from './claims/scores.ts'
import { expectAttention } from './support/attention.ts'
import { byScores, byTerms, contentInputs } from './support/content.ts'
import { differences } from './support/differences.ts'

const { batch, heads, keys, scale } = contentSizes

describe.each(contentClaims)('$name', (claim) => {
  const { name, encoding } = claim

  test.each([keys, 3, 1])('attends as a tensor of its scores does, for %d queries at the end of seven keys', async (queries) => {
    const inputs = contentInputs(queries)
    const [actual, exact] = [reference(byTerms(claim, inputs)), reference(byScores(claim, inputs))]
    const bound = exact.bound.map((allowed, i) => allowed + actual.bound[i]!)
    expectWithinBound(actual.output, { values: exact.output, bound }, { name, shape: [batch, heads, queries, 3], token: name })

    using backend = await createCpuBackend()
    await expectAttention(backend, byTerms(claim, inputs), byScores(claim, inputs), name, 'cpu')
  })

  test('has terms for no queries and no keys', () => {
    const { query, key } = contentInputs(0)
    const { shape } = encoding.terms({ query, key: slice(key, 2, 0, 0), scale }).query
    expect(shape.slice(0, 3)).toEqual([batch, heads, 0])
  })

  test('carries gradients on to queries, keys and its parameters', () => {
    const inputs = contentInputs(5)
    const { query, key } = inputs
    const dOutput = floats('dO', [batch, heads, 5, 3])
    const loss = (): number =>
      reference(byTerms(claim, inputs)).output.reduce((sum, output, i) => sum + output * dOutput.storage[i]!, 0)

    const terms = encoding.terms({ query, key, scale })
    const asked = problem(terms.query, terms.key, inputs.value, { scale, score: terms.scoreMod, causal: true })
    const { dQuery, dKey, captured } = referenceGradient(asked, dOutput)
    const asTensor = (values: Float64Array, shape: readonly number[]): HostTensor => tensor(Float32Array.from(values), shape)
    const gradient = terms.backward({
      dQuery: asTensor(dQuery.values, terms.query.shape),
      dKey: asTensor(dKey.values, terms.key.shape),
      captured: new Map([...captured].map(([part, { values }]) => [part, asTensor(values, part.shape)])),
    })

    const compare = (what: string, of: HostTensor, actual: HostTensor): void => {
      expect(actual.shape).toEqual(of.shape)
      // Terms are rounded to float32, which small steps magnify; with these numbers none of CoPE’s counts crosses a whole one.
      differences(loss, of, 2 ** -7).forEach((slope, i) =>
        expect(Math.abs(slope - actual.storage[i]!), `${what} ${i}`).toBeLessThanOrEqual(3e-4),
      )
      expect(Math.max(...toFloat64(actual).map(Math.abs))).toBeGreaterThan(0.02)
    }
    compare('dQuery', query, gradient.dQuery)
    compare('dKey', key, gradient.dKey)
    encoding.parameters.forEach((parameter, n) => compare(`parameter ${n}`, parameter, gradient.parameters[n]!))
  }, 60_000)
})

test.each([
  ['shaw', () => shaw({ table: floats('even', [4, 4]) }), 'shaw: table must be of an odd number of rows'],
  ['shaw', () => shaw({ table: floats('left', [4, 4]), left: 4 }), 'shaw: left must be below the table’s 4 rows; received 4'],
  ['relativeKey', () => relativeKey({ table: floats('even', [4, 4]) }), 'relativeKey: table must be of an odd number of rows'],
  ['disentangled', () => disentangled({}), 'disentangled: positionKeys must be given, or positionQueries'],
  [
    'disentangled',
    () => disentangled({ positionKeys: floats('odd', [2, 3, 4]) }),
    'positionKeys must be of an even number of rows, 2·span; received 3',
  ],
  [
    'disentangled',
    () => disentangled({ positionKeys: floats('one', [2, 4, 4]), positionQueries: floats('other', [2, 6, 4]) }),
    'positionQueries must be [2, 4, 4]; received [2,6,4]',
  ],
] as const)('%s refuses tables that do not fit', (_, make, message) => {
  expect(make).toThrow(message)
})
