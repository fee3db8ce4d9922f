import { describe, expect, it } from 'vitest'
import {
  capture,
  maskMod,
  problem,
  reference,
  referenceGradient,
  scalar,
  scoreMod,
  tensor,
  zeros,
  type AttentionProblem,
  type ProblemOptions,
} from '@qkv/core'
import { checkCaptures } from '@qkv/core/expression'

/** [2, 4, 5, 8] queries over [2, 2, 7, 8] keys. */
function make(options: ProblemOptions): AttentionProblem {
  return problem(zeros([2, 4, 5, 8]), zeros([2, 2, 7, 8]), zeros([2, 2, 7, 8]), options)
}

const table = capture(zeros([4]))

/** Reads a captured tensor beyond its end. */
const tooFar = scoreMod((score, { key }) => score.add(table.at(key)))

describe('an index by which an expression reads a captured tensor', () => {
  it.each([
    [
      'beyond its end',
      { score: tooFar },
      /score's index 0 into a captured tensor \[4\], key, must be provably from 0 to 3 for all tokens of the call .*; received 0 to 6/,
    ],
    [
      'before its beginning',
      { mask: maskMod(({ query, key }) => table.at(query.sub(key).min(3)).gt(0)) },
      /mask's index 0 .* min\(query − key, 3\), must be provably.*received -4 to 3/,
    ],
  ])('is refused where it may lie %s', (_, options, message) => {
    expect(() => checkCaptures('attention', make(options))).toThrow(
      expect.objectContaining({ code: 'EXPRESSION_REJECTED', operation: 'attention', message: expect.stringMatching(message) }),
    )
  })

  it('is proven for the positions that lengths allow, and for all where a backend holds the lengths', () => {
    const last = capture(zeros([7]))
    const mask = maskMod(({ query }) => last.at(query).ge(0))
    const onDevice = { ...zeros([2], 'int32'), storage: { owner: Symbol('device'), byteLength: 8 } }
    expect(() => checkCaptures('attention', make({ mask }))).not.toThrow()
    expect(() => checkCaptures('attention', make({ mask, lengths: [7, 4] }))).toThrow(/received -1 to 6/)
    expect(() => checkCaptures('attention', make({ mask, lengths: onDevice }))).toThrow(/received -5 to 6/)
  })

  it('counts as scalars and captured tensors make it at each call', () => {
    const shift = scalar('shift', -3, 'int')
    const places = tensor(Int32Array.of(0, 1, 2, 3, 2, 1, 0), [7])
    const asked = make({
      score: scoreMod((score, { key }) => score.add(table.at(key.add(shift).max(0)))),
      mask: maskMod(({ key }) => table.at(capture(places, 'int').at(key)).ge(0)),
    })
    expect(() => checkCaptures('attention', asked)).not.toThrow()
    shift.value = -2
    expect(() => checkCaptures('attention', asked)).toThrow(/max\(key \+ shift, 0\).*received 0 to 4/)
    shift.value = -3
    places.storage[6] = 4
    expect(() => checkCaptures('attention', asked)).toThrow(/received 0 to 4/)
  })

  it('is asked by the reference and its gradient', () => {
    const asked = make({ score: tooFar })
    expect(() => reference(asked)).toThrow(/reference: score's index 0/)
    expect(() => referenceGradient(asked, zeros([2, 4, 5, 8]))).toThrow(/referenceGradient: score's index 0/)
  })
})
