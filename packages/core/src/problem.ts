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
  /** Of quantised keys, float32 [batch, keyHeads, keyLength, groups]; see {@link AttentionProblem.keyScales}. */
  readonly keyScales?: Tensor | undefined
  /** Of quantised values, float32 [batch, keyHeads, keyLength, groups]. */
  readonly valueScales?: Tensor | undefined
  /** Drops each normalised weight with this probability and scales the others up; see {@link Dropout}. */
  readonly dropout?: Dropout | undefined
}

/**
 * Which weights are dropped follows from the seed and the pair's batch, head, row and key alone, so that every backend,
 * any tiling and the backward pass drop the same. The log-sum-exp counts them all.
 */
export interface Dropout {
  /** 0 ≤ probability < 1 */
  readonly probability: number
  /** A whole number, 0 ≤ seed < 2³². */
  readonly seed: number
}

/**
 * One question to a backend: validated, canonical, frozen and independent of any backend. Made by `problem()`.
 * Tensors are views with four axes; query head `h` reads key/value head `floor(h / group)`. Key and value share a dtype
 * that may differ from the query's: a float16 cache under float32 queries, or a quantised one.
 *
 * Quantised keys and values come with scales. int8: element `c` stands for `key[…, c] · keyScales[…, floor(c / size)]`,
 * where each of the scales' `groups` covers `size = headDim / groups` elements. uint8: two 4-bit elements a byte, the
 * even one in the low bits, each standing for `(bits − 8) · scale`; the last axis has half the head dim.
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
  /** Float32 [batch, keyHeads, keyLength, groups]; present exactly where keys are int8 or uint8. */
  readonly keyScales: Tensor | undefined
  /** Float32 [batch, keyHeads, keyLength, groups]; groups may differ from the keys'. */
  readonly valueScales: Tensor | undefined
  readonly dropout: Dropout | undefined
}
