import type { HostPartial } from '../backend.ts'
import { roundTo, toFloat64 } from '../convert.ts'
import { isFloat } from '../dtype.ts'
import { describe } from '../errors.ts'
import { emptySoftmax, logSumExp, mergeSoftmax, rescaling } from './online-softmax.ts'
import { refusal } from '../refusal.ts'
import { contiguousStrides } from '../strides.ts'
import { isHostTensor, type HostTensor } from '../tensor.ts'

/**
 * Attention over all keys from attention over parts of them: each part's output weighs e^(its lse − the whole lse).
 * However the keys were split and in whatever order the parts come, the whole is the same, to rounding. Where a part saw
 * no key (lse −∞) it takes no part, whatever its output holds. A sink belongs to one of the parts only.
 *
 * @returns contiguous tensors: output in the first part's dtype, lse float32; computed in float64 and rounded once.
 * @throws QkvError `OPTION_INVALID` for no parts or parts outside host memory, `SHAPE_MISMATCH` where shapes differ.
 */
export function mergePartials(parts: readonly HostPartial[]): HostPartial {
  const { shape, dtype } = checkParts(parts)
  const [batch, heads, queryLength, valueDim] = shape
  const decoded = parts.map(({ output, lse }) => ({ output: toFloat64(output), lse: toFloat64(lse) }))
  const rows = batch * heads * queryLength
  const output = new Float64Array(rows * valueDim)
  const lse = new Float64Array(rows)
  for (let row = 0; row < rows; row++) {
    const states = decoded.map((part) => ({ m: part.lse[row] ?? NaN, l: 1 }))
    const whole = logSumExp(states.reduce(mergeSoftmax, emptySoftmax))
    lse[row] = whole
    decoded.forEach((part, index) => {
      const own = states[index]?.m ?? NaN
      if (own === -Infinity) return
      const weight = rescaling(own, whole)
      for (let c = row * valueDim; c < (row + 1) * valueDim; c++) output[c] = (output[c] ?? 0) + weight * (part.output[c] ?? NaN)
    })
  }
  const tensorOf = (values: Float64Array, shape: number[], dtype: HostTensor['dtype']): HostTensor => ({
    dtype,
    shape,
    strides: contiguousStrides(shape),
    offset: 0,
    storage: roundTo(values, dtype),
  })
  return { output: tensorOf(output, shape, dtype), lse: tensorOf(lse, shape.slice(0, 3), 'float32') }
}

const operation = 'mergePartials'

function checkParts(parts: readonly HostPartial[]): { shape: [number, number, number, number]; dtype: HostTensor['dtype'] } {
  const first = parts[0]?.output
  if (first === undefined) throw refusal('OPTION_INVALID', operation, 'parts', 'at least one part', 'none')
  const [batch = 0, heads = 0, queryLength = 0, valueDim = 0] = first.shape
  if (first.shape.length !== 4) {
    throw refusal('SHAPE_MISMATCH', operation, 'parts[0].output', 'four axes, [batch, heads, length, dim]', describe(first.shape))
  }
  const shape: [number, number, number, number] = [batch, heads, queryLength, valueDim]
  parts.forEach(({ output, lse }, index) => {
    checkPart(`parts[${index}].output`, output, shape)
    checkPart(`parts[${index}].lse`, lse, shape.slice(0, 3))
  })
  return { shape, dtype: first.dtype }
}

function checkPart(argument: string, view: HostTensor, shape: readonly number[]): void {
  if (!isHostTensor(view)) {
    throw refusal('OPTION_INVALID', operation, argument, 'a tensor in host memory', 'a tensor that a backend owns')
  }
  if (!isFloat(view.dtype)) throw refusal('DTYPE_UNSUPPORTED', operation, argument, 'a float dtype', view.dtype)
  if (view.shape.length !== shape.length || view.shape.some((size, axis) => size !== shape[axis])) {
    throw refusal('SHAPE_MISMATCH', operation, argument, `[${shape.join(',')}]`, `[${view.shape.join(',')}]`)
  }
}
