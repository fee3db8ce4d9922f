import type { LinearCase } from '../../cases/case.ts'
import { linearVectors } from '../../cases/vectors.ts'
import { sampledRows, type Sample } from './sample.ts'

export function* linearSamples(bench: LinearCase, result: Float32Array): Generator<Sample> {
  const { rows, inputs, outputs } = bench
  const { input, weight } = linearVectors(bench)
  for (const row of sampledRows(rows)) {
    for (const output of sampledRows(outputs)) {
      let exact = 0
      let size = 0
      for (let i = 0; i < inputs; i++) {
        const product = (input[row * inputs + i] ?? NaN) * (weight[output * inputs + i] ?? NaN)
        exact += product
        size += Math.abs(product)
      }
      // γ(n)·Σ|x·w|: Higham, Accuracy and Stability of Numerical Algorithms, 2002, §3.1.
      yield { actual: result[row * outputs + output] ?? NaN, exact, bound: (inputs + 1) * 2 ** -24 * size }
    }
  }
}
