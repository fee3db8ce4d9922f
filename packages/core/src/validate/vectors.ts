import { isFloat } from '../dtype.ts'
import { describe, type QkvError } from '../errors.ts'
import type { AttentionProblem } from '../problem.ts'
import { checkTensor, type Tensor } from '../tensor.ts'
import { disagreement, invalid, mismatch, operation, shapeOf, unsupported } from './refuse.ts'

type Sizes = Pick<
  AttentionProblem,
  'batch' | 'queryHeads' | 'keyHeads' | 'group' | 'queryLength' | 'keyLength' | 'headDim' | 'valueDim'
>

/** A problem's sizes, from query, key and value, which have to fit each other. */
export function checkShapes(query: Tensor, key: Tensor, value: Tensor): Sizes {
  checkVectors('query', query)
  checkVectors('key', key)
  checkVectors('value', value)
  if (!isFloat(query.dtype)) throw unsupported('query', 'float32, float16 or bfloat16', query.dtype)
  if (!isFloat(key.dtype) && !isQuantised(key)) {
    throw unsupported('key', 'float32, float16 or bfloat16, or int8 or uint8 with scales', key.dtype)
  }
  if (value.dtype !== key.dtype) throw unsupported('value', `${key.dtype}, as the key is`, value.dtype)
  const [batch, queryHeads, queryLength, headDim] = query.shape as Shape4
  const [keyBatch, keyHeads, keyLength] = key.shape as Shape4
  const [valueBatch, valueHeads, valueLength] = value.shape as Shape4
  if (keyBatch !== batch) throw unequal('batch size', 'query', query, batch, 'key', key, keyBatch)
  if (valueBatch !== batch) throw unequal('batch size', 'query', query, batch, 'value', value, valueBatch)
  if (dimOf(key) !== headDim) throw unequal('head size', 'query', query, headDim, 'key', key, dimOf(key))
  if (valueHeads !== keyHeads) throw unequal('head count', 'key', key, keyHeads, 'value', value, valueHeads)
  if (valueLength !== keyLength) throw unequal('length', 'key', key, keyLength, 'value', value, valueLength)
  if (keyHeads === 0 ? queryHeads !== 0 : queryHeads % keyHeads !== 0) {
    const shapes = `(query ${shapeOf(query)}, key ${shapeOf(key)})`
    const sentence = `query has ${queryHeads} heads, key has ${keyHeads} ${shapes}; query heads must be a multiple of key heads`
    throw disagreement('query', 'a head count that is a multiple of the key heads', `${queryHeads} and ${keyHeads}`, sentence)
  }
  const group = keyHeads === 0 ? 1 : queryHeads / keyHeads
  return { batch, queryHeads, keyHeads, group, queryLength, keyLength, headDim, valueDim: dimOf(value) }
}

/** What is not the same of `right` as of `left`, each an argument's name, its tensor and its size. */
function unequal(
  what: string,
  ...[leftName, left, expected, rightName, right, received]: [string, Tensor, number, string, Tensor, number]
): QkvError {
  const shapes = `(${leftName} ${shapeOf(left)}, ${rightName} ${shapeOf(right)})`
  const sentence = `${rightName} has ${what} ${received}, ${leftName} has ${expected} ${shapes}; they must be equal`
  return disagreement(rightName, `${what} ${expected}`, String(received), sentence)
}

type Shape4 = [number, number, number, number]

function checkVectors(argument: string, view: Tensor): void {
  checkTensor(operation, argument, view)
  if (view.shape.length !== 4) throw mismatch(argument, 'four axes, [batch, heads, length, dim]', shapeOf(view))
}

function isQuantised({ dtype }: Tensor): boolean {
  return dtype === 'int8' || dtype === 'uint8'
}

/** Of keys or values; bytes hold two elements each. */
function dimOf({ dtype, shape }: Tensor): number {
  return (shape[3] ?? 0) * (dtype === 'uint8' ? 2 : 1)
}

/** Scales are there exactly when what they scale is quantised. */
export function checkScales(of: 'key' | 'value', quantised: Tensor, scales: Tensor | undefined): Tensor | undefined {
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
  const dim = dimOf(quantised)
  const fits = scales.shape.length === 4 && [batch, heads, length].every((size, axis) => size === scales.shape[axis])
  if (!fits || groups < 1 || dim % groups !== 0) {
    throw mismatch(argument, `[${batch},${heads},${length},groups] with groups that divide ${dim}`, shapeOf(scales))
  }
  return scales
}
