import { decoder, toFloat64 } from '../convert.ts'
import type { Dtype } from '../dtype.ts'
import { QkvError } from '../errors.ts'
import { compileExpression, type CompiledExpression } from '../expression/evaluate.ts'
import type { AttentionProblem } from '../problem.ts'
import { isHostTensor, type HostTensor, type Tensor } from '../tensor.ts'
import { platforms, type Arithmetic, type Estimate, type Platform } from './estimate.ts'
import { estimateExpression, type PairEstimate } from './expression-estimate.ts'

/** A problem's tensors as exact numbers, and whose arithmetic the bounds are for. */
export interface Inputs {
  readonly problem: AttentionProblem
  readonly platform: Platform
  readonly arithmetic: Arithmetic
  /** Row-major copies in the problem's shapes. */
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
}

export type ElementReader = (batch: number, head: number, row: number, key: number) => number

/** @throws QkvError `OPTION_INVALID` where a tensor lives on a backend: the reference reads host memory only. */
export function decodeInputs(operation: string, problem: AttentionProblem, platform: Platform = 'cpu'): Inputs {
  const host = (argument: string, view: Tensor): HostTensor => onHost(operation, argument, view)
  const { bias, mask, maskMod, scoreMod, sinks, lengths } = problem
  const arithmetic = platforms[platform]
  return {
    problem,
    platform,
    arithmetic,
    query: toFloat64(host('query', problem.query)),
    key: toFloat64(host('key', problem.key)),
    value: toFloat64(host('value', problem.value)),
    sinks: sinks && toFloat64(host('sinks', sinks)),
    lengths: lengths
      ? Int32Array.from(toFloat64(host('lengths', lengths)))
      : new Int32Array(problem.batch).fill(problem.keyLength),
    bias: bias && elementReader(host('bias', bias)),
    mask: mask && elementReader(host('mask', mask)),
    maskMod: maskMod && compileExpression(maskMod.node),
    scoreMod: scoreMod && estimateExpression(scoreMod.node, arithmetic),
  }
}

export function onHost(operation: string, argument: string, view: Tensor): HostTensor {
  if (isHostTensor(view)) return view
  throw new QkvError({
    code: 'OPTION_INVALID',
    operation,
    argument,
    expected: 'a tensor in host memory (read it back first)',
    received: 'a tensor that a backend owns',
  })
}

/** What becomes of an input when a GPU takes numbers too small for their dtype's normal range for zero. */
export function flushed(value: number, dtype: Dtype, platform: Platform): number {
  const smallestNormal = dtype === 'float16' ? 2 ** -14 : 2 ** -126
  return platform === 'wgsl' && Math.abs(value) < smallestNormal ? Math.abs(value) : 0
}

function elementReader(view: HostTensor): ElementReader {
  const { storage, offset } = view
  const [byBatch, byHead, byRow, byKey] = view.strides as [number, number, number, number]
  const decode = decoder(view.dtype)
  return (batch, head, row, key) =>
    decode(storage[offset + batch * byBatch + head * byHead + row * byRow + key * byKey] ?? NaN)
}
