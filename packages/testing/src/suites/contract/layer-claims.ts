import { slice, tensor, zeros, type HostTensor, type QkvErrorCode, type Tensor } from '@qkv/core'
import { describe, test } from 'vitest'
import type { ContractChecks } from './checks.ts'

/** What the operations around attention refuse. */
export function layerClaims({ backend, expectRefusal }: ContractChecks): void {
  describe('layer operations', () => {
    const f = (...shape: number[]): HostTensor => zeros(shape)

    test('shapes that do not fit are refused', () => {
      expectRefusal('SHAPE_MISMATCH', 'input', () => backend().linear(f(2, 3), f(4, 5)))
      expectRefusal('SHAPE_MISMATCH', 'weight', () => backend().linear(f(2, 3), f(3)))
      expectRefusal('SHAPE_MISMATCH', 'bias', () => backend().linear(f(2, 3), f(4, 3), f(3)))
      expectRefusal('SHAPE_MISMATCH', 'weight', () => backend().rmsNorm(f(2, 3), f(4), 1e-5))
      expectRefusal('SHAPE_MISMATCH', 'bias', () => backend().layerNorm(f(2, 3), f(3), f(1), 1e-5))
      expectRefusal('SHAPE_MISMATCH', 'right', () => backend().add(f(2, 3), f(2)))
      expectRefusal('SHAPE_MISMATCH', 'right', () => backend().multiply(f(3), f(2, 3)))
      expectRefusal('SHAPE_MISMATCH', 'table', () => backend().gather(f(3), tensor(Int32Array.of(0), [1])))
      expectRefusal('SHAPE_MISMATCH', 'input', () =>
        backend().rotate(f(2, 3, 4), { cos: f(3, 2), sin: f(3, 2), layout: 'half', dim: 4 }),
      )
      expectRefusal('SHAPE_MISMATCH', 'input', () =>
        backend().rotate(f(1, 2, 3, 4), { cos: f(3, 3), sin: f(3, 3), layout: 'half', dim: 6 }),
      )
      expectRefusal('SHAPE_MISMATCH', 'table.sin', () =>
        backend().rotate(f(1, 2, 3, 4), { cos: f(3, 2), sin: f(3, 1, 1), layout: 'half', dim: 4 }),
      )
    })

    test('dtypes that do not fit are refused', () => {
      const whole = zeros([3], 'int32')
      expectRefusal('DTYPE_UNSUPPORTED', 'input', () => backend().activate(whole, 'silu'))
      expectRefusal('DTYPE_UNSUPPORTED', 'weight', () => backend().rmsNorm(f(2, 3), whole, 1e-5))
      expectRefusal('DTYPE_UNSUPPORTED', 'left', () => backend().add(whole, f(3)))
      expectRefusal('DTYPE_UNSUPPORTED', 'indices', () => backend().gather(f(3, 3), f(3)))
    })

    test('what is no tensor, activation, epsilon or layout is refused', () => {
      expectRefusal('OPTION_INVALID', 'input', () => backend().activate([1, 2] as unknown as Tensor, 'relu'))
      expectRefusal('OPTION_INVALID', 'activation', () => backend().activate(f(3), 'swish' as 'silu'))
      expectRefusal('OPTION_INVALID', 'epsilon', () => backend().rmsNorm(f(2, 3), f(3), NaN))
      expectRefusal('OPTION_INVALID', 'table.layout', () =>
        backend().rotate(f(1, 2, 3, 4), { cos: f(3, 2), sin: f(3, 2), layout: 'quarter' as 'half', dim: 4 }),
      )
    })

    test('copy wants equal shapes, and a target that is its own', () => {
      const target = backend().empty([3])
      expectRefusal('SHAPE_MISMATCH', 'source', () => backend().copy(f(4), target))
      expectRefusal('OPTION_INVALID', 'target', () => backend().copy(f(4), f(4)))
      target.dispose()
      expectRefusal('DISPOSED', 'target', () => backend().copy(f(3), target))
    })

    test('quantize wants floats, whole numbers of its own to write, and equal groups', () => {
      const [bytes, nibbles, scales] = [backend().empty([2, 12], 'int8'), backend().empty([2, 6], 'uint8'), backend().empty([2, 4])]
      const refuse = (code: QkvErrorCode, argument: string, ...operands: [Tensor, Tensor, Tensor]): void =>
        expectRefusal(code, argument, () => backend().quantize(...operands))
      refuse('DTYPE_UNSUPPORTED', 'source', zeros([2, 12], 'int8'), bytes, scales)
      refuse('DTYPE_UNSUPPORTED', 'target', f(2, 12), scales, scales)
      refuse('DTYPE_UNSUPPORTED', 'scales', f(2, 12), bytes, bytes)
      refuse('SHAPE_MISMATCH', 'target', f(2, 10), bytes, scales)
      refuse('SHAPE_MISMATCH', 'target', f(2, 6), nibbles, scales)
      refuse('SHAPE_MISMATCH', 'scales', f(2, 12), nibbles, scales)
      refuse('SHAPE_MISMATCH', 'scales', f(2, 12), bytes, slice(scales, 0, 0, 1))
      refuse('OPTION_INVALID', 'target', f(2, 12), zeros([2, 12], 'int8'), scales)
      refuse('OPTION_INVALID', 'scales', f(2, 12), bytes, f(2, 4))
      for (const tensor of [bytes, nibbles, scales]) tensor.dispose()
    })
  })
}
