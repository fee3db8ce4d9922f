import type { FloatDtype } from '@qkv/core'
import { distributions } from './distributions.ts'
import { maskExpressionNames, scoreExpressionNames, type MaskExpression } from './expressions.ts'
import { layouts } from './guarded.ts'
import { printToken, floatDtypes, type ProblemSpec, type Quantisation } from './problem-token.ts'
import { random, type Random } from './random.ts'

/** What random problems may be like. What is left out is unrestricted (sizes: as below). */
export interface Limits {
  /** Default 3. */
  readonly batch?: number
  /** Of queries; default 8. */
  readonly heads?: number
  /** Default 300. */
  readonly queryLength?: number
  /** Default 600. */
  readonly keyLength?: number
  /** Of queries, keys and values; default 256. */
  readonly headDim?: number
  /** Half of the time a head dim is any; default: one of models', or at an end of vectors, for which fewer kernels are compiled. */
  readonly anyDim?: boolean
  /** Most products in all, batch·heads·queries·keys·(dim + 16); default 2¹⁷, some ten seconds of oracle for a thousand problems. */
  readonly work?: number
  readonly dtypes?: readonly FloatDtype[]
  /** Options that must not occur. */
  readonly without?: readonly (keyof ProblemSpec)[]
  /** Options that most problems have. */
  readonly likely?: readonly (keyof ProblemSpec)[]
  /** Options that occur only on request. */
  readonly including?: readonly ('quantised' | 'dropout' | 'random expressions')[]
  /** Sizes around which kernels change their ways: tiles, vectors, register blocks. */
  readonly tiles?: readonly number[]
}

export interface DrawOptions {
  readonly count: number
  readonly seed: number
  readonly limits?: Limits
}

/** Tokens of random problems, half of them at boundary sizes. One seed always draws the same tokens. */
export function drawTokens({ count, seed, limits = {} }: DrawOptions): string[] {
  return Array.from({ length: count }, (_, index) => printToken(drawSpec(random(seed, `problem ${index}`), limits)))
}

function drawSpec(random: Random, limits: Limits): ProblemSpec {
  const allowed = (option: keyof ProblemSpec, probability: number): boolean =>
    random.chance(limits.likely?.includes(option) ? 0.8 : probability) && !limits.without?.includes(option)
  const dtypes = limits.dtypes ?? floatDtypes
  const queryDtype = random.pick(dtypes)
  const shape = drawShape(random, limits)
  const layout = allowed('layout', 0.6) ? random.pick([...layouts, 'mixed'] as const) : 'plain'
  return {
    queryDtype,
    keyDtype: allowed('keyDtype', 0.15) ? random.pick(dtypes) : queryDtype,
    ...shape,
    distribution: random.chance(0.4) ? 'normal' : random.pick(distributions),
    layout,
    scale: allowed('scale', 0.15) ? random.pick([0, -0.5, 0.01, 1]) : undefined,
    softcap: allowed('softcap', 0.2) ? random.pick([0.5, 5, 30, 50]) : undefined,
    causal: allowed('causal', 0.4) ? random.pick(['lower-right', 'lower-right', 'upper-left'] as const) : undefined,
    window: allowed('window', 0.25) ? drawWindow(random, shape.keyLength) : undefined,
    bias: allowed('bias', 0.25) ? drawAxes(random) : undefined,
    ...(random.chance(0.5)
      ? { mask: allowed('mask', 0.4) ? drawAxes(random) : undefined }
      : { maskMod: allowed('maskMod', 0.4) ? drawMaskExpression(random) : undefined }),
    score: allowed('score', 0.25) ? random.pick(scoreExpressionNames.filter((name) => name !== 'random')) : undefined,
    sinks: allowed('sinks', 0.2),
    lengths: allowed('lengths', 0.25),
    poison: allowed('poison', 0.3),
    seed: random.integer(0, 2 ** 30),
    quantised: limits.including?.includes('quantised') && random.chance(0.5) ? drawQuantisation(random, shape) : undefined,
    dropout: limits.including?.includes('dropout') && random.chance(0.3) ? random.pick([0.1, 0.5, 0.9]) : undefined,
    ...(limits.including?.includes('random expressions') && drawExpressions(random)),
  }
}

/** In most problems a mask expression, a score expression, or both. */
function drawExpressions(random: Random): Pick<ProblemSpec, 'mask' | 'maskMod' | 'score'> {
  const masked = random.chance(0.6)
  return {
    ...(masked && { mask: undefined, maskMod: 'random' }),
    ...((!masked || random.chance(0.4)) && { score: 'random' }),
  }
}

/** As many bits as fit: two elements a byte need an even dim. */
function drawQuantisation(random: Random, { headDim, valueDim }: Shape): Quantisation {
  const groups = (dim: number): number => random.pick([1, 1, 2, 4, 8, dim].filter((count) => count > 0 && dim % count === 0))
  const packs = headDim % 2 === 0 && valueDim % 2 === 0 && random.chance(0.5)
  return { dtype: packs ? 'uint8' : 'int8', keyGroups: groups(headDim), valueGroups: groups(valueDim) }
}

function drawShape(random: Random, limits: Limits) {
  const { work = 2 ** 17, tiles = [4, 8, 16, 32, 64, 128] } = limits
  const size = (most: number): number => Math.min(most, random.chance(0.5) ? boundary(random, tiles) : logUniform(random, most))
  const batch = Math.min(limits.batch ?? 3, random.chance(0.01) ? 0 : random.pick([1, 1, 1, 1, 2, 2, 3, 4]))
  const group = random.pick([1, 1, 1, 2, 3, 4, 8])
  const mostHeads = limits.heads ?? 8
  const queryHeads = Math.max(group, Math.floor(random.pick([1, 1, 2, 3, 8]) / group) * group)
  const keyHeads = queryHeads / group
  const mostDim = limits.headDim ?? 256
  const dim = (): number =>
    limits.anyDim && random.chance(0.5) ? random.integer(1, mostDim) : Math.min(mostDim, random.pick(usualDims))
  const headDim = dim()
  const fitted = fitWork(random, work, {
    batch,
    ...(queryHeads > mostHeads ? { queryHeads: 1, keyHeads: 1 } : { queryHeads, keyHeads }),
    queryLength: Math.min(limits.queryLength ?? 300, random.chance(0.15) ? 1 : size(limits.queryLength ?? 300)),
    keyLength: size(limits.keyLength ?? 600),
    headDim,
    valueDim: random.chance(0.8) ? headDim : dim(),
  })
  return fitted
}

const usualDims: readonly number[] = [1, 2, 3, 4, 5, 8, 16, 31, 32, 40, 64, 64, 64, 96, 128, 128, 256]

type Shape = Pick<ProblemSpec, 'batch' | 'queryHeads' | 'keyHeads' | 'queryLength' | 'keyLength' | 'headDim' | 'valueDim'>

/** Halves one size after another until the problem is small enough. */
function fitWork(random: Random, work: number, shape: Shape): Shape {
  const { batch, queryHeads, queryLength, keyLength, headDim, valueDim } = shape
  if (batch * queryHeads * queryLength * keyLength * (Math.max(headDim, valueDim) + 16) <= work) return shape
  const half = (size: number): number => Math.ceil(size / 2)
  switch (random.pick(['batch', 'heads', 'dims', 'length', 'length'] as const)) {
    case 'batch':
      return fitWork(random, work, { ...shape, batch: half(batch) })
    case 'heads':
      return fitWork(random, work, { ...shape, queryHeads: queryHeads / shape.keyHeads, keyHeads: 1 })
    case 'dims':
      return fitWork(random, work, { ...shape, headDim: half(headDim), valueDim: half(valueDim) })
    case 'length':
      return queryLength > keyLength || random.chance(0.2)
        ? fitWork(random, work, { ...shape, queryLength: half(queryLength) })
        : fitWork(random, work, { ...shape, keyLength: half(keyLength) })
  }
}

function boundary(random: Random, tiles: readonly number[]): number {
  if (random.chance(0.02)) return 0
  const tile = random.pick(tiles)
  return random.pick([1, 2, 3, tile - 1, tile, tile + 1, 2 * tile - 1, 2 * tile, 2 * tile + 1])
}

function logUniform(random: Random, most: number): number {
  return Math.min(most, Math.floor(Math.exp(random.uniform() * Math.log(most + 1))))
}

function drawWindow(random: Random, keyLength: number): { left: number; right: number } {
  const side = (): number => random.pick([0, 1, 7, Math.floor(keyLength / 3), keyLength, Infinity])
  return { left: side(), right: side() }
}

/** Seeing nothing at all is rare: it says little. */
function drawMaskExpression(random: Random): MaskExpression {
  return random.chance(0.04)
    ? 'nothing'
    : random.pick(maskExpressionNames.filter((name) => name !== 'nothing' && name !== 'random'))
}

/** Any subset of the axes, written as the letters of those that are kept. */
function drawAxes(random: Random): string {
  return random.pick(['bhqk', '1hqk', 'b1qk', '11qk', 'b11k', 'bh1k', '111k', '11q1', 'qk', 'hqk', 'k'])
}
