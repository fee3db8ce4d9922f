import { tensor, type HostTensor } from '../tensor.ts'
import { capture, type Captured } from './terms.ts'
import type { FloatExpression, IntExpression } from './value.ts'

/** Captures a tensor, or plain numbers as one with a single axis. */
export function captureOf(type: 'int', values: HostTensor | readonly number[]): Captured<IntExpression>
export function captureOf(type: 'float', values: HostTensor | readonly number[]): Captured<FloatExpression>
export function captureOf(
  type: 'int' | 'float',
  values: HostTensor | readonly number[],
): Captured<IntExpression | FloatExpression> {
  const dtype = type === 'int' ? 'int32' : 'float32'
  const held = 'shape' in values ? values : tensor(values, [values.length], { dtype })
  return type === 'int' ? capture(held, 'int') : capture(held)
}

/** The last index along a tensor's last axis. */
export function lastIndex(values: HostTensor | readonly number[]): number {
  return ('shape' in values ? (values.shape.at(-1) ?? 1) : values.length) - 1
}
