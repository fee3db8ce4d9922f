import { checkShape } from '../refuse.ts'
import { uniform } from '../uniform.ts'
import type { WeightMap } from './weights.ts'

/** A head's mean shares of attention, 0…1, by what they go to. */
export interface HeadRoles {
  /** The token just before (Clark et al., What does BERT look at?, 2019, arXiv:1906.04341). */
  readonly previousToken: number
  /** The first token of the text, where attention rests that has no use elsewhere (Xiao et al., 2023, arXiv:2309.17453). */
  readonly firstToken: number
  /** Earlier copies of the token itself (Wang et al., Interpretability in the wild, 2022, arXiv:2211.00593). */
  readonly duplicateToken: number
  /**
   * What came after earlier copies of the token: how text is continued as it went before. On repeated random tokens, the
   * prefix-matching score (Olsson et al., In-context learning and induction heads, 2022, arXiv:2209.11895).
   */
  readonly induction: number
}

/**
 * What each head of each layer does, `[layer][head]`, from the attention maps of one text. On text that makes sense, a head
 * may look at a token for its meaning; random tokens, repeated, leave only what its role is: see {@link repeatedTokens}.
 *
 *     const tokens = inspect.repeatedTokens({ vocabulary: 512, length: 50 })
 *     const { maps } = await model.forward(tokens, { mapsFrom: 0 })
 *     const roles = inspect.headRoles(maps, tokens)
 *
 * @param maps `[layer][head][row][key]` of self-attention over all tokens, as `inspect.weights` gives a layer's
 * @param tokens the text's token numbers
 * @throws QkvError `SHAPE_MISMATCH` where a map is not of as many rows as there are tokens.
 */
export function headRoles(maps: readonly WeightMap[], tokens: ArrayLike<number>): HeadRoles[][] {
  const rows = rowsToCount(tokens)
  return maps.map((layer, index) =>
    layer.map((map, head) => {
      checkShape('inspect.headRoles', `maps[${index}][${head}]`, [map.length], [tokens.length])
      return rolesOf(map, rows)
    }),
  )
}

/** A text of random tokens and then the same again, in which only position and repetition tell anything. */
export function repeatedTokens(options: {
  /** How many tokens there are to draw from. */
  readonly vocabulary: number
  /** Tokens before they repeat. */
  readonly length: number
  /** How many times they come in all; default 2. */
  readonly times?: number | undefined
  readonly seed?: number | undefined
}): number[] {
  const { vocabulary, length, times = 2, seed = 0 } = options
  const next = uniform(seed)
  const once = Array.from({ length }, () => Math.floor(next() * vocabulary))
  return Array.from({ length: times * length }, (_, index) => once[index % length] ?? 0)
}

/** A token, and the keys that each role looks at from it. */
interface CountedRow {
  readonly row: number
  readonly copies: readonly number[]
  readonly afterCopies: readonly number[]
}

/** The first two tokens are left out: for them, the roles' keys are the same. */
function rowsToCount(tokens: ArrayLike<number>): CountedRow[] {
  const places = new Map<number, number[]>()
  const rows: CountedRow[] = []
  for (let row = 0; row < tokens.length; row++) {
    const token = tokens[row] ?? NaN
    const copies = places.get(token) ?? []
    if (row >= 2) rows.push({ row, copies: [...copies], afterCopies: copies.map((copy) => copy + 1).filter((key) => key < row) })
    places.set(token, [...copies, row])
  }
  return rows
}

function rolesOf(map: readonly Float32Array[], rows: readonly CountedRow[]): HeadRoles {
  const share = (row: number, keys: readonly number[]): number => keys.reduce((sum, key) => sum + (map[row]?.[key] ?? 0), 0)
  const repeated = rows.filter(({ copies }) => copies.length > 0)
  const continued = rows.filter(({ afterCopies }) => afterCopies.length > 0)
  return {
    previousToken: mean(rows.map(({ row }) => share(row, [row - 1]))),
    firstToken: mean(rows.map(({ row }) => share(row, [0]))),
    duplicateToken: mean(repeated.map(({ row, copies }) => share(row, copies))),
    induction: mean(continued.map(({ row, afterCopies }) => share(row, afterCopies))),
  }
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / Math.max(1, numbers.length)
}
