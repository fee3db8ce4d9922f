import { float, int, scoreMod, select, type FloatExpression, type ScoreMod, type TokenPair } from '@qkv/core'

export interface WrittenScore {
  readonly mod: ScoreMod
  /** The expression that was made of it, as the house writes expressions. */
  readonly expression: string
}

const tools = { select, float, int }

/** What a visitor writes the body of. */
type ScoreFunction = (score: FloatExpression, pair: TokenPair, given: typeof tools) => FloatExpression | number

/**
 * A score change from JavaScript that the visitor typed into their own page. It runs once, here, and leaves an expression behind.
 *
 * @throws SyntaxError, TypeError or QkvError, as it comes.
 */
export function writtenScore(source: string): WrittenScore {
  const names = 'score, { batch, head, query, key }, { select, float, int }'
  // oxlint-disable-next-line no-new-func -- the visitor's own words, in the visitor's own page
  const write = new Function(`return (${names}) => (${source}\n)`)() as ScoreFunction
  let expression = ''
  const mod = scoreMod((score, pair) => {
    const written = write(score, pair, tools)
    expression = String(written)
    return written
  })
  return { mod, expression }
}
