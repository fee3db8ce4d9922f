import { problem, reference, tensor, type HostTensor, type ProblemOptions } from '@qkv/core'
import { alibi, rotary, sinusoidal } from '@qkv/positional'
import { describe, expect, test } from 'vitest'
import { floats } from './claims/scores.ts'
import { rotate } from './support/rotate.ts'

const [length, dim] = [6, 8]
const order = [3, 0, 5, 1, 4, 2]
const tokens = floats('tokens', [1, 1, length, dim])
const positions = order.map((_, i) => i)

/** Self-attention over the tokens' vectors, which are queries, keys and values at once. */
function attend(x: HostTensor, options: ProblemOptions = {}, turned = x): Float64Array {
  return reference(problem(turned, turned, x, options)).output
}

function reordered<T extends HostTensor | Float64Array>(x: T): T
function reordered(x: HostTensor | Float64Array): HostTensor | Float64Array {
  const values = x instanceof Float64Array ? x : x.storage
  const moved = order.flatMap((token) => Array.from(values.slice(token * dim, (token + 1) * dim)))
  return x instanceof Float64Array ? Float64Array.from(moved) : tensor(moved, x.shape)
}

const turn = (x: HostTensor, at: readonly number[]): HostTensor =>
  tensor(Float32Array.from(rotate(x, rotary({ dim }).table(at))), x.shape)
const embed = (x: HostTensor, at: readonly number[]): HostTensor => {
  const added = sinusoidal({ dim }).embed(at).storage
  return tensor(
    Float32Array.from(x.storage, (value, i) => value + added[i]!),
    x.shape,
  )
}

const near = (actual: Float64Array, expected: Float64Array): boolean =>
  actual.every((value, i) => Math.abs(value - expected[i]!) < 1e-6)

test('without positions, attention sees a bag: tokens in another order give the same outputs in that order', () => {
  expect(near(attend(reordered(tokens)), reordered(attend(tokens)))).toBe(true)
})

test('so a token’s output does not tell what stood before it', () => {
  const swapped = [1, 0, 2, 3, 4, 5].flatMap((token) => Array.from(tokens.storage.slice(token * dim, (token + 1) * dim)))
  const [before, after] = [attend(tokens), attend(tensor(swapped, tokens.shape))]
  expect(near(before.slice(2 * dim), after.slice(2 * dim))).toBe(true)
})

describe('with positions the order counts', () => {
  const score = alibi({ heads: 1 }).scoreMod

  test.each([
    [
      'rotary',
      () => attend(tokens, {}, turn(tokens, positions)),
      () => attend(reordered(tokens), {}, turn(reordered(tokens), positions)),
    ],
    ['a score encoding', () => attend(tokens, { score }), () => attend(reordered(tokens), { score })],
    ['an embedding', () => attend(embed(tokens, positions)), () => attend(embed(reordered(tokens), positions))],
    ['a causal mask alone', () => attend(tokens, { causal: true }), () => attend(reordered(tokens), { causal: true })],
  ] as const)('%s', (_, inOrder, inAnother) => {
    expect(near(inAnother(), reordered(inOrder()))).toBe(false)
  })

  test('but tokens that take their positions along are the same bag again', () => {
    const moved = order.map((token) => positions[token]!)
    expect(
      near(attend(reordered(tokens), {}, turn(reordered(tokens), moved)), reordered(attend(tokens, {}, turn(tokens, positions)))),
    ).toBe(true)
    expect(near(attend(embed(reordered(tokens), moved)), reordered(attend(embed(tokens, positions))))).toBe(true)
  })
})
