import { decoder, toFloat64 } from '../convert.ts'
import { dropoutHash, dropoutThreshold } from '../dropout.ts'
import type { Dtype } from '../dtype.ts'
import { compileExpression, type CompiledExpression } from '../expression/evaluate.ts'
import { checkCaptures } from '../expression/range/check-captures.ts'
import type { AttentionProblem, Dropout } from '../problem.ts'
import { refusal } from '../refusal.ts'
import { isHostTensor, type HostTensor, type Tensor } from '../tensor.ts'
import { dequantise } from './dequantise.ts'
import { platforms, type Arithmetic, type Estimate, type Platform } from '../estimate.ts'
import { estimateExpression, type PairEstimate } from './expression-estimate.ts'

/** A problem's tensors as exact numbers, and whose arithmetic the bounds are for. */
export interface Inputs {
  readonly problem: AttentionProblem
  readonly platform: Platform
  readonly arithmetic: Arithmetic
  /** Row-major copies in the problem's shapes; quantised keys and values as what they stand for. */
  readonly query: Float64Array
  readonly key: Float64Array
  readonly value: Float64Array
  readonly sinks: Float64Array | undefined
  /** Valid keys of each batch entry. */
  readonly lengths: Int32Array
  /** Bias and mask may be broadcast and large: they are read where they lie. */
  readonly bias: ElementReader | undefined
  readonly mask: ElementReader | undefined
  readonly maskMod: CompiledExpression | undefined
  readonly scoreMod: ((pair: PairEstimate) => Estimate) | undefined
  /** What a pair's weight is multiplied by. */
  readonly dropout: ElementReader | undefined
}

/** A number for each pair of a query row and a key. */
export type ElementReader = (batch: number, head: number, row: number, key: number) => number

/**
 * @throws QkvError `OPTION_INVALID` where a tensor lives on a backend: the reference reads host memory only;
 * `EXPRESSION_REJECTED` as {@link checkCaptures} does.
 */
export function decodeInputs(operation: string, problem: AttentionProblem, platform: Platform = 'cpu'): Inputs {
  const host = (argument: string, view: Tensor): HostTensor => onHost(operation, argument, view)
  const { bias, mask, maskMod, scoreMod, sinks, lengths, keyScales, valueScales } = problem
  const elements = (argument: string, view: Tensor, scales: Tensor | undefined): Float64Array =>
    scales ? dequantise(host(argument, view), host(`${argument}Scales`, scales)) : toFloat64(host(argument, view))
  checkCaptures(operation, problem)
  const arithmetic = platforms[platform]
  return {
    problem,
    platform,
    arithmetic,
    query: toFloat64(host('query', problem.query)),
    key: elements('key', problem.key, keyScales),
    value: elements('value', problem.value, valueScales),
    sinks: sinks && toFloat64(host('sinks', sinks)),
    lengths: lengths ? Int32Array.from(toFloat64(host('lengths', lengths))) : new Int32Array(problem.batch).fill(problem.keyLength),
    bias: bias && elementReader(host('bias', bias)),
    mask: mask && elementReader(host('mask', mask)),
    maskMod: maskMod && compileExpression(maskMod.node),
    scoreMod: scoreMod && estimateExpression(scoreMod.node, arithmetic),
    dropout: problem.dropout && dropoutFactor(problem.dropout),
  }
}

export function onHost(operation: string, argument: string, view: Tensor): HostTensor {
  if (isHostTensor(view)) return view
  throw refusal(
    'OPTION_INVALID',
    operation,
    argument,
    'a tensor in host memory (read it back first)',
    'a tensor that a backend owns',
  )
}

/** What becomes of an input when a GPU takes numbers too small for their dtype's normal range for zero. */
export function flushed(value: number, dtype: Dtype, platform: Platform): number {
  // A quantised element may be 127 times a scale that counts as zero.
  const smallestNormal = dtype === 'float16' ? 2 ** -14 : dtype === 'int8' || dtype === 'uint8' ? 2 ** -119 : 2 ** -126
  return platform === 'wgsl' && Math.abs(value) < smallestNormal ? Math.abs(value) : 0
}

/** 0 where a weight is dropped, 1 / (1 − probability) where it stays. */
function dropoutFactor(dropout: Dropout): ElementReader {
  const threshold = dropoutThreshold(dropout)
  const kept = 1 / (1 - dropout.probability)
  return (batch, head, row, key) => (dropoutHash(dropout.seed, batch, head, row, key) < threshold ? 0 : kept)
}

function elementReader(view: HostTensor): ElementReader {
  const { storage, offset } = view
  const [byBatch, byHead, byRow, byKey] = view.strides as [number, number, number, number]
  const decode = decoder(view.dtype)
  return (batch, head, row, key) => decode(storage[offset + batch * byBatch + head * byHead + row * byRow + key * byKey] ?? NaN)
}
