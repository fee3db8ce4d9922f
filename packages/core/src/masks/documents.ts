import { maskMod } from '../expression/build.ts'
import { captureOf, lastIndex } from '../expression/capture-of.ts'
import type { MaskMod } from '../expression/node.ts'
import type { HostTensor } from '../tensor.ts'

/**
 * Tokens see the tokens of their own document: several documents in one sequence do not mix.
 *
 * @param ids each token's document number, int32 [length] or [batch, length]; tokens beyond belong to the last document
 */
export function documents(ids: HostTensor | readonly number[]): MaskMod {
  const numbers = captureOf('int', ids)
  const last = lastIndex(ids)
  if ('shape' in ids && ids.shape.length === 2) {
    return maskMod(({ batch, query, key }) => numbers.at(batch, query.clamp(0, last)).eq(numbers.at(batch, key.clamp(0, last))))
  }
  return maskMod(({ query, key }) => numbers.at(query.clamp(0, last)).eq(numbers.at(key.clamp(0, last))))
}
