import type { MaskMod, ScoreMod } from './expression/node.ts'
import type { Tensor } from './tensor.ts'

/** Where query rows stand among the keys. `'lower-right'`: the last row at the last valid key, as with a cache. */
export type Alignment = 'lower-right' | 'upper-left'

/** What to compute besides the softmax of plain scores. Everything is optional. */
export interface ProblemOptions {
  /** Multiplies every q·k; default 1/√headDim. */
  readonly scale?: number | undefined
  /** Scores become `softcap · tanh(score / softcap)`; a positive number. */
  readonly softcap?: number | undefined
  /** A query sees no key after its own position. `true` means `'lower-right'`. */
  readonly causal?: boolean | Alignment | undefined
  /** How many keys a query sees to either side of its own position, which is always included; missing = unbounded. */
  readonly window?: { readonly left?: number | undefined; readonly right?: number | undefined } | undefined
  /** Added to the scores; −∞ hides a key as a mask does. Broadcasts to [batch, queryHeads, queryLength, keyLength]. */
  readonly bias?: Tensor | undefined
  /** Changes each score, after softcap and bias. */
  readonly score?: ScoreMod | undefined
  /** A boolean tensor or expression: true = may attend. A float tensor is a bias. Broadcasts as `bias` does. */
  readonly mask?: Tensor | MaskMod | undefined
  /** One logit per query head, [queryHeads], that takes part in each softmax without a value. */
  readonly sinks?: Tensor | readonly number[] | undefined
  /** How many keys of each batch entry are valid, [batch]; the rest are never read. */
  readonly lengths?: Tensor | readonly number[] | undefined
}

/**
 * One question to a backend: validated, canonical, frozen and independent of any backend. Made by `problem()`.
 * Tensors are views with four axes; query head `h` reads key/value head `floor(h / group)`. Key and value share a float
 * dtype that may differ from the query's (a float16 cache under float32 queries).
 */
export interface AttentionProblem {
  /** [batch, queryHeads, queryLength, headDim] */
  readonly query: Tensor
  /** [batch, keyHeads, keyLength, headDim] */
  readonly key: Tensor
  /** [batch, keyHeads, keyLength, valueDim] */
  readonly value: Tensor
  readonly batch: number
  readonly queryHeads: number
  readonly keyHeads: number
  /** Query heads per key/value head. */
  readonly group: number
  readonly queryLength: number
  readonly keyLength: number
  readonly headDim: number
  readonly valueDim: number
  readonly scale: number
  /** 0 = none. */
  readonly softcap: number
  readonly causal: boolean
  readonly alignment: Alignment
  /** Keys to either side; `Infinity` = unbounded. */
  readonly window: { readonly left: number; readonly right: number }
  /** Float, broadcast by strides of 0 to [batch, queryHeads, queryLength, keyLength]. */
  readonly bias: Tensor | undefined
  /** Bool, broadcast by strides of 0 to [batch, queryHeads, queryLength, keyLength]. */
  readonly mask: Tensor | undefined
  readonly maskMod: MaskMod | undefined
  readonly scoreMod: ScoreMod | undefined
  /** Float [queryHeads]. */
  readonly sinks: Tensor | undefined
  /** Int32 [batch]. */
  readonly lengths: Tensor | undefined
}
