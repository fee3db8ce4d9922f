import { isFloat } from './dtype.ts'
import { QkvError, describe } from './errors.ts'
import type { MaskMod, ScoreMod } from './expression/node.ts'
import { checkIndices } from './expression/range/check-indices.ts'
import type { Alignment, AttentionProblem, Dropout, ProblemOptions } from './problem.ts'
import { checkTensor, isTensor, tensor, type Tensor } from './tensor.ts'
import { broadcastTo } from './views.ts'

const operation = 'attention'

/**
 * Validates once and makes the canonical, frozen problem that every backend takes.
 *
 * @param query [batch, queryHeads, queryLength, headDim], any strides
 * @param key [batch, keyHeads, keyLength, headDim]; queryHeads is a multiple of keyHeads
 * @param value [batch, keyHeads, keyLength, valueDim]
 * @throws QkvError naming the argument, what was expected and what came.
 */
export function problem(query: Tensor, key: Tensor, value: Tensor, options: ProblemOptions = {}): AttentionProblem {
  const sizes = checkShapes(query, key, value)
  const { batch, queryHeads, queryLength, keyLength, headDim } = sizes
  const scoreShape = [batch, queryHeads, queryLength, keyLength]
  const { mask, maskMod, maskBias } = splitMask(options.mask)
  if (options.bias !== undefined && maskBias !== undefined) {
    throw invalid('mask', 'boolean when there is also a bias (a float mask is one)', 'a float mask and a bias')
  }
  const causal = options.causal ?? false
  oneOf('causal', causal, [true, false, 'lower-right', 'upper-left'])
  if (options.score !== undefined && options.score?.kind !== 'score') {
    throw invalid('score', 'what scoreMod() returns', describe(options.score))
  }
  const checked: AttentionProblem = {
    query,
    key,
    value,
    ...sizes,
    scale: checkNumber('scale', options.scale ?? 1 / Math.sqrt(Math.max(1, headDim)), 'a finite number'),
    softcap: checkSoftcap(options.softcap),
    causal: causal !== false,
    alignment: causal === 'upper-left' ? ('upper-left' satisfies Alignment) : ('lower-right' satisfies Alignment),
    window: checkWindow(options.window),
    bias: broadcastScores('bias', options.bias ?? maskBias, scoreShape),
    mask: broadcastScores('mask', mask, scoreShape),
    maskMod,
    scoreMod: options.score,
    sinks: checkSinks(options.sinks, queryHeads),
    lengths: checkLengths(options.lengths, batch, keyLength),
    keyScales: checkScales('key', key, headDim, options.keyScales),
    valueScales: checkScales('value', value, sizes.valueDim, options.valueScales),
    dropout: checkDropout(options.dropout),
  }
  if (maskMod !== undefined) checkIndices(operation, 'mask', maskMod.node, checked)
  if (options.score !== undefined) checkIndices(operation, 'score', options.score.node, checked)
  return Object.freeze(checked)
}

function checkShapes(query: Tensor, key: Tensor, value: Tensor) {
  checkVectors('query', query, isFloat(query.dtype), 'float32, float16 or bfloat16')
  checkVectors('key', key, isFloat(key.dtype) || isQuantised(key), 'float32, float16 or bfloat16, or int8 or uint8 with scales')
  checkVectors('value', value, value.dtype === key.dtype, `${key.dtype}, as the key is`)
  const [batch, queryHeads, queryLength, headDim] = query.shape as Shape4
  const [, keyHeads, keyLength] = key.shape as Shape4
  const [, valueHeads, valueLength] = value.shape as Shape4
  const valueDim = dimOf(value)
  sameSize('batch size', batch, 'query', query, 'key', key, 0)
  sameSize('batch size', batch, 'query', query, 'value', value, 0)
  sameSize('head size', headDim, 'query', query, 'key', key, 3, dimOf(key))
  if (valueHeads !== keyHeads) sameSize('head count', keyHeads, 'key', key, 'value', value, 1)
  if (valueLength !== keyLength) sameSize('length', keyLength, 'key', key, 'value', value, 2)
  if (keyHeads === 0 ? queryHeads !== 0 : queryHeads % keyHeads !== 0) {
    throw new QkvError({
      code: 'SHAPE_MISMATCH',
      operation,
      argument: 'query',
      expected: 'a head count that is a multiple of the key heads',
      received: `${queryHeads} and ${keyHeads}`,
      sentence: `query has ${queryHeads} heads, key has ${keyHeads} (query ${shapeOf(query)}, key ${shapeOf(key)}); query heads must be a multiple of key heads`,
    })
  }
  const group = keyHeads === 0 ? 1 : queryHeads / keyHeads
  return { batch, queryHeads, keyHeads, group, queryLength, keyLength, headDim, valueDim }
}

function checkVectors(argument: string, view: Tensor, supported: boolean, dtypes: string): void {
  checkTensor(operation, argument, view)
  if (view.shape.length !== 4) throw mismatch(argument, 'four axes, [batch, heads, length, dim]', shapeOf(view))
  if (!supported) throw unsupported(argument, dtypes, view.dtype)
}

function isQuantised({ dtype }: Tensor): boolean {
  return dtype === 'int8' || dtype === 'uint8'
}

/** Of keys or values; bytes hold two elements each. */
function dimOf({ dtype, shape }: Tensor): number {
  return (shape[3] ?? 0) * (dtype === 'uint8' ? 2 : 1)
}

type Shape4 = [number, number, number, number]

function sameSize(what: string, expected: number, left: string, a: Tensor, right: string, b: Tensor, axis: number, received = b.shape[axis]): void {
  if (received === expected) return
  throw new QkvError({
    code: 'SHAPE_MISMATCH',
    operation,
    argument: right,
    expected: `${what} ${expected}`,
    received: String(received),
    sentence: `${right} has ${what} ${received}, ${left} has ${expected} (${left} ${shapeOf(a)}, ${right} ${shapeOf(b)}); they must be equal`,
  })
}

function splitMask(mask: Tensor | MaskMod | undefined): {
  mask?: Tensor
  maskBias?: Tensor
  maskMod: MaskMod | undefined
} {
  if (mask === undefined) return { maskMod: undefined }
  if (!isTensor(mask)) {
    if (mask?.kind === 'mask') return { maskMod: mask }
    throw invalid('mask', 'a tensor or what maskMod() returns', describe(mask))
  }
  if (mask.dtype === 'bool') return { mask, maskMod: undefined }
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

function checkSoftcap(softcap: number | undefined): number {
  if (softcap === undefined) return 0
  if (!(Number.isFinite(softcap) && softcap > 0)) throw invalid('softcap', 'a positive number', describe(softcap))
  return softcap
}

function checkWindow(window: ProblemOptions['window']): AttentionProblem['window'] {
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

function checkSinks(sinks: ProblemOptions['sinks'], queryHeads: number): Tensor | undefined {
  if (sinks === undefined) return undefined
  const view = isTensor(sinks) ? sinks : tensor(sinks, [sinks.length])
  checkTensor(operation, 'sinks', view)
  if (!isFloat(view.dtype)) throw unsupported('sinks', 'a float dtype', view.dtype)
  if (view.shape.length !== 1 || view.shape[0] !== queryHeads) {
    throw mismatch('sinks', `one logit per query head, [${queryHeads}]`, shapeOf(view))
  }
  return view
}

function checkLengths(lengths: ProblemOptions['lengths'], batch: number, keyLength: number): Tensor | undefined {
  if (lengths === undefined) return undefined
  const view = isTensor(lengths) ? lengths : tensor(lengths, [lengths.length], { dtype: 'int32' })
  checkTensor(operation, 'lengths', view)
  if (view.dtype !== 'int32') throw unsupported('lengths', 'int32', view.dtype)
  if (view.shape.length !== 1 || view.shape[0] !== batch) {
    throw mismatch('lengths', `one length per batch entry, [${batch}]`, shapeOf(view))
  }
  if (ArrayBuffer.isView(view.storage)) {
    for (let entry = 0; entry < batch; entry++) {
      const length = isTensor(lengths) ? view.storage[view.offset + entry * (view.strides[0] ?? 0)] : lengths[entry]
      if (length === undefined || !Number.isInteger(length) || length < 0 || length > keyLength) {
        throw invalid(`lengths[${entry}]`, `a whole number from 0 to the key length ${keyLength}`, describe(length))
      }
    }
  }
  return view
}

/** Scales are there exactly when what they scale is quantised. */
function checkScales(of: 'key' | 'value', quantised: Tensor, dim: number, scales: Tensor | undefined): Tensor | undefined {
  const argument = `${of}Scales`
  if (!isQuantised(quantised)) {
    if (scales !== undefined) throw invalid(argument, `left out, as the ${of} is ${quantised.dtype}`, describe(scales))
    return undefined
  }
  if (scales === undefined) throw invalid(argument, `given, as the ${of} is ${quantised.dtype}`, 'undefined')
  checkTensor(operation, argument, scales)
  if (scales.dtype !== 'float32') throw unsupported(argument, 'float32', scales.dtype)
  const [batch, heads, length] = quantised.shape
  const [, , , groups = 0] = scales.shape
  const fits = scales.shape.length === 4 && [batch, heads, length].every((size, axis) => size === scales.shape[axis])
  if (!fits || groups < 1 || dim % groups !== 0) {
    throw mismatch(argument, `[${batch},${heads},${length},groups] with groups that divide ${dim}`, shapeOf(scales))
  }
  return scales
}

/** @returns none where nothing is dropped. */
function checkDropout(dropout: Dropout | undefined): Dropout | undefined {
  if (dropout === undefined) return undefined
  if (typeof dropout !== 'object' || dropout === null) throw invalid('dropout', 'an object { probability, seed }', describe(dropout))
  const { probability, seed } = dropout
  if (!(probability >= 0 && probability < 1)) throw invalid('dropout.probability', 'a number from 0 to below 1', describe(probability))
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw invalid('dropout.seed', 'a whole number from 0 to below 2³²', describe(seed))
  }
  return probability === 0 ? undefined : Object.freeze({ probability, seed })
}

function checkNumber(argument: string, value: number, expected: string): number {
  if (!Number.isFinite(value)) throw invalid(argument, expected, describe(value))
  return value
}

function oneOf(argument: string, value: unknown, allowed: readonly unknown[]): void {
  if (!allowed.includes(value)) throw invalid(argument, `one of ${allowed.join(', ')}`, describe(value))
}

function shapeOf(view: Tensor): string {
  return `[${view.shape.join(',')}]`
}

function invalid(argument: string, expected: string, received: string): QkvError {
  return new QkvError({ code: 'OPTION_INVALID', operation, argument, expected, received })
}

function mismatch(argument: string, expected: string, received: string): QkvError {
  return new QkvError({ code: 'SHAPE_MISMATCH', operation, argument, expected, received })
}

function unsupported(argument: string, expected: string, received: string): QkvError {
  return new QkvError({ code: 'DTYPE_UNSUPPORTED', operation, argument, expected, received })
}
