import { maskMod } from '../expression/build.ts'
import type { MaskMod } from '../expression/node.ts'
import { rejected } from '../expression/rejected.ts'
import { capture } from '../expression/terms.ts'
import { tensor } from '../tensor.ts'

/**
 * Speculative decoding: the queries are drafted tokens that form a tree, and the last keys are theirs. Each sees all keys
 * before the draft, its ancestors, and itself.
 *
 * @param parents each drafted token's parent among them, which comes before it; −1 for none
 */
export function draftTree(parents: readonly number[]): MaskMod {
  const count = parents.length
  const ancestors = new Uint8Array(count * count)
  parents.forEach((parent, token) => {
    if (!Number.isInteger(parent) || parent < -1 || parent >= token) {
      throw rejected(`parents[${token}]`, '−1, or the number of a token before it', String(parent), 'draftTree')
    }
    if (parent >= 0) ancestors.copyWithin(token * count, parent * count, (parent + 1) * count)
    ancestors[token * count + token] = 1
  })
  const sees = capture(tensor(ancestors, [count, count], { dtype: 'bool' }), 'bool')
  return maskMod(({ query, row, key }) => {
    const drafted = key.sub(query.sub(row))
    return drafted.lt(0).or(sees.at(row.clamp(0, count - 1), drafted.clamp(0, count - 1)))
  })
}
