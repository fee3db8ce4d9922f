import { tensor, toFloat64, type HostTensor, type Tensor } from '@qkv/core'
import { expect } from 'vitest'
import { valuesOf, type Subject } from './subject.ts'

/**
 * Compares a gradient with slopes by central differences, at up to `count` of the elements of a float32 tensor. Two steps are
 * taken, so that their errors of the second order cancel, and each as it is stored. What is left is the rounding of losses that
 * are sums of hundreds of float32 numbers, about 1e-5 over steps of 1e-2.
 */
export async function expectSlopes(
  subject: Subject,
  gradient: Tensor,
  at: HostTensor,
  loss: (moved: HostTensor) => number | Promise<number>,
  count = 8,
): Promise<void> {
  // A bias's gradient has all four axes.
  expect(gradient.shape.slice(-at.shape.length)).toEqual(at.shape)
  const values = await valuesOf(subject, gradient)
  const before = toFloat64(at)
  expect(values.length).toBe(before.length)
  for (let index = 0; index < before.length; index += Math.max(1, Math.floor(before.length / count))) {
    const slope = async (step: number): Promise<number> => {
      const moved = (by: number): Float32Array =>
        Float32Array.from(before, (element, other) => (other === index ? element + by : element))
      const [above, below] = [moved(step), moved(-step)]
      const rise = (await loss(tensor(above, at.shape))) - (await loss(tensor(below, at.shape)))
      return rise / (above[index]! - below[index]!)
    }
    const expected = (4 * (await slope(2 ** -7)) - (await slope(2 ** -6))) / 3
    expect(Math.abs(values[index]! - expected), `element ${index}`).toBeLessThan(1e-3 * Math.max(1, Math.abs(expected)))
  }
}
