import { toFloat64 } from '../convert.ts'
import { isFloat, type Dtype } from '../dtype.ts'
import { QkvError, describe } from '../errors.ts'
import type { MaskMod, ScoreMod } from '../expression/node.ts'
import type { Alignment, AttentionProblem, Dropout, ProblemOptions } from '../problem.ts'
import { checkTensor, isHostTensor, isTensor, tensor, type Tensor } from '../tensor.ts'
import { broadcastTo } from '../views.ts'
import { invalid, mismatch, operation, shapeOf, unsupported } from './refuse.ts'

export function checkScale(scale: number | undefined, headDim: number): number {
  if (scale === undefined) return 1 / Math.sqrt(Math.max(1, headDim))
  if (!Number.isFinite(scale)) throw invalid('scale', 'a finite number', describe(scale))
  return scale
}

/** @returns 0 for none. */
export function checkSoftcap(softcap: number | undefined): number {
  if (softcap === undefined) return 0
  if (!(Number.isFinite(softcap) && softcap > 0)) throw invalid('softcap', 'a positive number', describe(softcap))
  return softcap
}

export function checkCausal(causal: ProblemOptions['causal'] = false): { causal: boolean; alignment: Alignment } {
  if (!spellings.includes(causal)) throw invalid('causal', `one of ${spellings.join(', ')}`, describe(causal))
  return { causal: causal !== false, alignment: causal === 'upper-left' ? causal : 'lower-right' }
}

const spellings: readonly unknown[] = [true, false, 'lower-right', 'upper-left'] satisfies ProblemOptions['causal'][]

export function checkWindow(window: ProblemOptions['window']): AttentionProblem['window'] {
  const side = (name: 'left' | 'right'): number => {
    const keys = window?.[name]
    if (keys === undefined || keys === Infinity) return Infinity
    if (!Number.isSafeInteger(keys) || keys < 0) throw invalid(`window.${name}`, 'a whole number ≥ 0', describe(keys))
    return keys
  }
  if (window !== undefined && (typeof window !== 'object' || window === null)) {
    throw invalid('window', 'an object { left?, right? }', describe(window))
  }
  return Object.freeze({ left: side('left'), right: side('right') })
}

/** A boolean mask, a mask expression, and the bias, which a float mask is. */
export function checkMasks(
  { mask, bias }: ProblemOptions,
  scoreShape: number[],
): Pick<AttentionProblem, 'mask' | 'maskMod' | 'bias'> {
  const { maskTensor, maskMod, maskBias } = splitMask(mask)
  if (bias !== undefined && maskBias !== undefined) {
    throw invalid('mask', 'boolean beside a bias', 'a float mask and a bias')
  }
  return {
    mask: broadcastScores('mask', maskTensor, scoreShape),
    maskMod,
    bias: broadcastScores('bias', bias ?? maskBias, scoreShape),
  }
}

function splitMask(mask: ProblemOptions['mask']): { maskTensor?: Tensor; maskBias?: Tensor; maskMod: MaskMod | undefined } {
  if (mask === undefined) return { maskMod: undefined }
  if (!isTensor(mask)) {
    if (mask?.kind === 'mask') return { maskMod: mask }
    throw invalid('mask', 'a tensor or what maskMod() returns', describe(mask))
  }
  if (mask.dtype === 'bool') return { maskTensor: mask, maskMod: undefined }
  if (isFloat(mask.dtype)) return { maskBias: mask, maskMod: undefined }
  throw unsupported('mask', 'bool, or a float dtype for a bias', mask.dtype)
}

function broadcastScores(argument: string, view: Tensor | undefined, shape: number[]): Tensor | undefined {
  if (view === undefined) return undefined
  checkTensor(operation, argument, view)
  if (argument === 'bias' && !isFloat(view.dtype)) throw unsupported('bias', 'a float dtype', view.dtype)
  try {
    return broadcastTo(view, shape)
  } catch (cause) {
    if (!QkvError.is(cause)) throw cause
    throw mismatch(argument, `a shape that broadcasts to the scores' [${shape.join(',')}]`, shapeOf(view))
  }
}

export function checkScore(score: ScoreMod | undefined): ScoreMod | undefined {
  if (score !== undefined && score?.kind !== 'score') throw invalid('score', 'what scoreMod() returns', describe(score))
  return score
}

export function checkSinks(sinks: ProblemOptions['sinks'], queryHeads: number): Tensor | undefined {
  if (sinks === undefined) return undefined
  const view = asTensor('sinks', sinks, 'float32')
  if (!isFloat(view.dtype)) throw unsupported('sinks', 'a float dtype', view.dtype)
  if (!isVector(view, queryHeads)) throw mismatch('sinks', `one logit per query head, [${queryHeads}]`, shapeOf(view))
  return view
}

export function checkLengths(lengths: ProblemOptions['lengths'], batch: number, keyLength: number): Tensor | undefined {
  if (lengths === undefined) return undefined
  if (Array.isArray(lengths)) checkEachLength(lengths, keyLength)
  const view = asTensor('lengths', lengths, 'int32')
  if (view.dtype !== 'int32') throw unsupported('lengths', 'int32', view.dtype)
  if (!isVector(view, batch)) throw mismatch('lengths', `one length per batch entry, [${batch}]`, shapeOf(view))
  if (isHostTensor(view)) checkEachLength(toFloat64(view), keyLength)
  return view
}

function isVector({ shape }: Tensor, size: number): boolean {
  return shape.length === 1 && shape[0] === size
}

function checkEachLength(lengths: ArrayLike<number>, keyLength: number): void {
  Array.from(lengths).forEach((length, entry) => {
    if (Number.isInteger(length) && length >= 0 && length <= keyLength) return
    throw invalid(`lengths[${entry}]`, `a whole number from 0 to the key length ${keyLength}`, describe(length))
  })
}

function asTensor(argument: string, numbers: Tensor | readonly number[], dtype: Dtype): Tensor {
  if (Array.isArray(numbers)) return tensor(numbers, [numbers.length], { dtype })
  if (!isTensor(numbers)) throw invalid(argument, 'a tensor or an array of numbers', describe(numbers))
  checkTensor(operation, argument, numbers)
  return numbers
}

/** @returns none where nothing is dropped. */
export function checkDropout(dropout: Dropout | undefined): Dropout | undefined {
  if (dropout === undefined) return undefined
  if (typeof dropout !== 'object' || dropout === null)
    throw invalid('dropout', 'an object { probability, seed }', describe(dropout))
  const { probability, seed } = dropout
  if (!(probability >= 0 && probability < 1))
    throw invalid('dropout.probability', 'a number from 0 to below 1', describe(probability))
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw invalid('dropout.seed', 'a whole number from 0 to below 2³²', describe(seed))
  }
  return probability === 0 ? undefined : Object.freeze({ probability, seed })
}
