import { capture, maskMod, scalar, scoreMod, select, type Dtype, type HostTensor, type MaskMod, type ScoreMod } from '@qkv/core'
import { drawLeaves, drawTruth, drawWhole } from './random-expression.ts'
import { random } from './random.ts'

/** Puts row-major values into the problem's kind of memory. */
export type Place = (name: string, values: ArrayLike<number>, shape: readonly number[], dtype: Dtype) => HostTensor

/** What expressions depend on of a problem. */
interface Problem {
  readonly batch: number
  readonly queryHeads: number
  readonly keyLength: number
  readonly seed: number
}

/** Score expressions that between them use every float operator, captures of one and two axes, and a scalar. */
export const scoreExpressions = {
  /** A slope per head, as in ALiBi. */
  alibi: (problem: Problem, place: Place): ScoreMod => {
    const slope = capture(floats('slope', [Math.max(1, problem.queryHeads)], 0.2, problem, place))
    return scoreMod((score, { head, query, key }) => score.add(slope.at(head).mul(key.sub(query))))
  },
  /** A table per head and distance, as in T5. */
  relative: (problem: Problem, place: Place): ScoreMod => {
    const table = capture(floats('table', [Math.max(1, problem.queryHeads), 17], 1, problem, place))
    return scoreMod((score, { head, query, key }) => score.add(table.at(head, query.sub(key).clamp(-8, 8).add(8))))
  },
  /** A second softcap, with a learned height. */
  tanh: (problem: Problem, place: Place): ScoreMod => {
    const height = capture(floats('height', [1], 1, problem, place))
    return scoreMod((score) => height.at(0).abs().add(2).mul(score.div(3).tanh()))
  },
  /** Not monotonic. */
  square: (): ScoreMod => scoreMod((score) => score.clamp(-10, 10).mul(score.clamp(-10, 10)).mul(-0.05).add(score)),
  /** A logarithm of the distance, as in KERPLE. */
  logarithm: (problem: Problem, place: Place): ScoreMod => {
    const weights = capture(floats('weights', [Math.max(1, problem.queryHeads), 2], 1, problem, place))
    return scoreMod((score, { head, query, key }) => {
      const distance = query.sub(key).abs().toFloat()
      return score.sub(
        weights
          .at(head, 0)
          .abs()
          .mul(distance.mul(weights.at(head, 1).abs()).add(1).log()),
      )
    })
  },
  /** The score times a factor that falls with distance; the factor's rate is a scalar. */
  decay: (): ScoreMod => {
    const rate = scalar('rate', 0.05)
    return scoreMod((score, { query, key }) => score.mul(query.sub(key).abs().toFloat().mul(rate).neg().exp()))
  },
  /** Every third key by another rule. */
  select: (problem: Problem, place: Place): ScoreMod => {
    const gain = capture(floats('gain', [Math.max(1, problem.keyLength)], 1, problem, place))
    return scoreMod((score, { key, batch }) =>
      select(key.mod(3).eq(batch.mod(3)), score.mul(gain.at(key.max(0).min(Math.max(0, problem.keyLength - 1)))), score.max(-4)),
    )
  },
  /** Drawn anew for each problem; see `drawWhole`. */
  random: (problem: Problem): ScoreMod => {
    const stream = random(problem.seed, 'random score')
    const leaves = drawLeaves(stream, true)
    return scoreMod((score, pair) => score.add(drawWhole(stream, pair, leaves, 5).clamp(-20, 20)))
  },
} as const

/** Mask expressions that see much, little, nothing, and different things by head and batch entry. */
export const maskExpressions = {
  /** Tokens see their own document; document numbers per batch entry. */
  documents: (problem: Problem, place: Place): MaskMod => {
    const length = Math.max(1, problem.keyLength)
    const stream = random(problem.seed, 'documents')
    const ids = Int32Array.from({ length: Math.max(1, problem.batch) * length }, () => stream.integer(0, 2))
    const document = capture(place('documents', ids, [Math.max(1, problem.batch), length], 'int32'), 'int')
    return maskMod(({ batch, query, key }) =>
      document.at(batch, query.clamp(0, length - 1)).eq(document.at(batch, key.clamp(0, length - 1))),
    )
  },
  /** All see the first keys, and later ones causally. */
  prefix: (): MaskMod => maskMod(({ query, key }) => key.lt(5).or(key.le(query))),
  /** Every fourth key, counted from the query. */
  strided: (): MaskMod => maskMod(({ query, key }) => query.sub(key).mod(4).eq(0)),
  /** Blocks along the diagonal. */
  chunked: (): MaskMod => maskMod(({ query, key }) => query.floorDiv(8).eq(key.floorDiv(8))),
  /** Another rule for each head. */
  heads: (): MaskMod => maskMod(({ head, key, row }) => key.add(row).mod(head.add(2)).ne(0)),
  nothing: (): MaskMod => maskMod(({ key }) => key.lt(0)),
  /** Drawn anew for each problem; see `drawTruth`. */
  random: (problem: Problem): MaskMod => {
    const stream = random(problem.seed, 'random mask')
    const leaves = drawLeaves(stream, true)
    return maskMod((pair) => drawTruth(stream, pair, leaves, 5))
  },
} as const

export type ScoreExpression = keyof typeof scoreExpressions
export type MaskExpression = keyof typeof maskExpressions

export const scoreExpressionNames = Object.keys(scoreExpressions) as readonly ScoreExpression[]
export const maskExpressionNames = Object.keys(maskExpressions) as readonly MaskExpression[]

function floats(name: string, shape: readonly number[], deviation: number, problem: Problem, place: Place): HostTensor {
  const stream = random(problem.seed, name)
  const count = shape.reduce((product, size) => product * size, 1)
  return place(
    name,
    Float64Array.from({ length: count }, () => deviation * stream.normal()),
    shape,
    'float32',
  )
}
