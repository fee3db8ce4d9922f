import type { AttentionProblem, ProblemOptions } from '../problem.ts'
import type { Tensor } from '../tensor.ts'
import {
  checkCausal,
  checkDropout,
  checkLengths,
  checkMasks,
  checkScale,
  checkScore,
  checkSinks,
  checkSoftcap,
  checkWindow,
} from './options.ts'
import { checkScales, checkShapes } from './vectors.ts'

/**
 * Validates once and makes the canonical, frozen problem that every backend takes. What its expressions will read of captured
 * tensors is left to whoever computes, at each call, by `checkCaptures` of `@qkv/core/expression`: scalars and tensors may
 * change until then.
 *
 * @param query [batch, queryHeads, queryLength, headDim], any strides
 * @param key [batch, keyHeads, keyLength, headDim]; queryHeads is a multiple of keyHeads
 * @param value [batch, keyHeads, keyLength, valueDim]
 * @throws QkvError naming the argument, what was expected and what came.
 */
export function problem(query: Tensor, key: Tensor, value: Tensor, options: ProblemOptions = {}): AttentionProblem {
  const { batch, queryHeads, keyHeads, group, queryLength, keyLength, headDim, valueDim } = checkShapes(query, key, value)
  const { causal, alignment } = checkCausal(options.causal)
  const { mask, maskMod, bias } = checkMasks(options, [batch, queryHeads, queryLength, keyLength])
  return Object.freeze<AttentionProblem>({
    query,
    key,
    value,
    batch,
    queryHeads,
    keyHeads,
    group,
    queryLength,
    keyLength,
    headDim,
    valueDim,
    scale: checkScale(options.scale, headDim),
    softcap: checkSoftcap(options.softcap),
    causal,
    alignment,
    window: checkWindow(options.window),
    mask,
    maskMod,
    bias,
    scoreMod: checkScore(options.score),
    sinks: checkSinks(options.sinks, queryHeads),
    lengths: checkLengths(options.lengths, batch, keyLength),
    keyScales: checkScales('key', key, options.keyScales),
    valueScales: checkScales('value', value, options.valueScales),
    dropout: checkDropout(options.dropout),
  })
}
