import { decoder, toFloat64 } from '../convert.ts'
import { QkvError } from '../errors.ts'
import type { AttentionProblem } from '../problem.ts'
import { isHostTensor, type HostTensor, type Tensor } from '../tensor.ts'

/** A problem's tensors as exact numbers; what may be large and broadcast is read where it lies. */
export interface Inputs {
  readonly problem: AttentionProblem
  /** Row-major copies in the problem's shapes. */
  readonly query: Float64Array
  readonly key: Float64Array
  readonly value: Float64Array
  readonly sinks: Float64Array | undefined
  /** Valid keys of each batch entry. */
  readonly lengths: Int32Array
  readonly bias: ((batch: number, head: number, row: number, key: number) => number) | undefined
  readonly mask: ((batch: number, head: number, row: number, key: number) => number) | undefined
}

/** @throws QkvError `OPTION_INVALID` where a tensor lives on a backend: the reference reads host memory only. */
export function decodeInputs(operation: string, problem: AttentionProblem): Inputs {
  const host = (argument: string, view: Tensor): HostTensor => onHost(operation, argument, view)
  const { bias, mask, sinks, lengths } = problem
  return {
    problem,
    query: toFloat64(host('query', problem.query)),
    key: toFloat64(host('key', problem.key)),
    value: toFloat64(host('value', problem.value)),
    sinks: sinks && toFloat64(host('sinks', sinks)),
    lengths: lengths
      ? Int32Array.from(toFloat64(host('lengths', lengths)))
      : new Int32Array(problem.batch).fill(problem.keyLength),
    bias: bias && elementReader(host('bias', bias)),
    mask: mask && elementReader(host('mask', mask)),
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

function elementReader(view: HostTensor): (batch: number, head: number, row: number, key: number) => number {
  const { storage, offset } = view
  const [byBatch, byHead, byRow, byKey] = view.strides as [number, number, number, number]
  const decode = decoder(view.dtype)
  return (batch, head, row, key) =>
    decode(storage[offset + batch * byBatch + head * byHead + row * byRow + key * byKey] ?? NaN)
}
