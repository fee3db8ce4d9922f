import type { Alignment, FloatDtype } from '@qkv/core'
import { distributions, type Distribution } from './distributions.ts'
import { maskExpressionNames, scoreExpressionNames, type MaskExpression, type ScoreExpression } from './expressions.ts'
import { layouts, type Layout } from './guarded.ts'

/** Everything that a random problem is made from; its token says it in one line. */
export interface ProblemSpec {
  readonly queryDtype: FloatDtype
  /** Of key and value, unless they are quantised. */
  readonly keyDtype: FloatDtype
  readonly batch: number
  readonly queryHeads: number
  readonly keyHeads: number
  readonly queryLength: number
  readonly keyLength: number
  readonly headDim: number
  readonly valueDim: number
  readonly distribution: Distribution
  /** `mixed`: each tensor in a layout of its own. */
  readonly layout: Layout | 'mixed'
  readonly scale?: number | undefined
  readonly softcap?: number | undefined
  readonly causal?: Alignment | undefined
  readonly window?: { readonly left: number; readonly right: number } | undefined
  /** Which axes the bias has: a letter of `bhqk`, or `1` where it broadcasts. */
  readonly bias?: string | undefined
  readonly mask?: string | undefined
  readonly score?: ScoreExpression | undefined
  readonly maskMod?: MaskExpression | undefined
  readonly sinks?: boolean | undefined
  readonly lengths?: boolean | undefined
  /** Keys and values of 8 or 4 bits, with this many scales a vector. */
  readonly quantised?: Quantisation | undefined
  /** A probability. */
  readonly dropout?: number | undefined
  /** NaN in every key and value (or its scales) that no query sees. */
  readonly poison?: boolean | undefined
  readonly seed: number
}

export interface Quantisation {
  /** uint8: two elements of 4 bits a byte. */
  readonly dtype: 'int8' | 'uint8'
  readonly keyGroups: number
  readonly valueGroups: number
}

/**
 * `attention|float32/float16|b2 h4/2 q17 k33 d8 v5|outliers|padded|causal=lower-right window=3:Infinity sinks|17`:
 * operation, dtypes of query/keys, shape, distribution, layout, options, seed.
 */
export function printToken(spec: ProblemSpec): string {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim } = spec
  const options = [
    spec.scale !== undefined && `scale=${spec.scale}`,
    spec.softcap !== undefined && `softcap=${spec.softcap}`,
    spec.causal && `causal=${spec.causal}`,
    spec.window && `window=${spec.window.left}:${spec.window.right}`,
    spec.bias && `bias=${spec.bias}`,
    spec.mask && `mask=${spec.mask}`,
    spec.score && `score=${spec.score}`,
    spec.maskMod && `maskMod=${spec.maskMod}`,
    spec.sinks && 'sinks',
    spec.lengths && 'lengths',
    spec.quantised && `quantised=${spec.quantised.dtype}:${spec.quantised.keyGroups}:${spec.quantised.valueGroups}`,
    spec.dropout !== undefined && `dropout=${spec.dropout}`,
    spec.poison && 'poison',
  ]
  return [
    'attention',
    `${spec.queryDtype}/${spec.keyDtype}`,
    `b${batch} h${queryHeads}/${keyHeads} q${queryLength} k${keyLength} d${headDim} v${valueDim}`,
    spec.distribution,
    spec.layout,
    options.filter((option) => typeof option === 'string').join(' '),
    spec.seed,
  ].join('|')
}

const shapePattern = /^b(\d+) h(\d+)\/(\d+) q(\d+) k(\d+) d(\d+) v(\d+)$/

export function parseToken(token: string): ProblemSpec {
  const [operation, dtype = '', shape = '', distribution, layout, optionText = '', seed] = token.split('|')
  const sizes = shapePattern.exec(shape)?.slice(1).map(Number)
  if (operation !== 'attention' || sizes === undefined || seed === undefined) throw new Error(`not a problem token: ${token}`)
  const [batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim] = sizes as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const [queryDtype, keyDtype = queryDtype] = dtype.split('/')
  const options = new Map(optionText.split(' ').filter(Boolean).map(nameAndValue))
  const [left, right] = options.get('window')?.split(':').map(Number) ?? []
  return {
    queryDtype: oneOf(floatDtypes, queryDtype),
    keyDtype: oneOf(floatDtypes, keyDtype),
    batch,
    queryHeads,
    keyHeads,
    queryLength,
    keyLength,
    headDim,
    valueDim,
    distribution: oneOf(distributions, distribution),
    layout: oneOf([...layouts, 'mixed'] as const, layout),
    scale: number(options.get('scale')),
    softcap: number(options.get('softcap')),
    causal: options.has('causal') ? oneOf(['lower-right', 'upper-left'] as const, options.get('causal')) : undefined,
    window: left !== undefined && right !== undefined ? { left, right } : undefined,
    bias: options.get('bias'),
    mask: options.get('mask'),
    score: options.has('score') ? oneOf(scoreExpressionNames, options.get('score')) : undefined,
    maskMod: options.has('maskMod') ? oneOf(maskExpressionNames, options.get('maskMod')) : undefined,
    sinks: options.has('sinks'),
    lengths: options.has('lengths'),
    quantised: quantisation(options.get('quantised')),
    dropout: number(options.get('dropout')),
    poison: options.has('poison'),
    seed: Number(seed),
  }
}

export const floatDtypes: readonly FloatDtype[] = ['float32', 'float16', 'bfloat16']

function nameAndValue(option: string): [string, string] {
  const [name = '', value = ''] = option.split('=')
  return [name, value]
}

function number(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text)
}

function quantisation(text: string | undefined): Quantisation | undefined {
  if (text === undefined) return undefined
  const [dtype, keyGroups, valueGroups] = text.split(':')
  return { dtype: oneOf(['int8', 'uint8'] as const, dtype), keyGroups: Number(keyGroups), valueGroups: Number(valueGroups) }
}

function oneOf<T extends string>(known: readonly T[], text: string | undefined): T {
  const found = known.find((name) => name === text)
  if (found === undefined) throw new Error(`${text} is none of ${known.join(', ')}`)
  return found
}
