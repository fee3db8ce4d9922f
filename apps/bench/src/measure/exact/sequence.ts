import type { SequenceCase } from '../../cases/case.ts'
import { sequenceVectors } from '../../cases/vectors.ts'
import { attendInto, logistic, times } from './float64.ts'
import { sampledRows, type Sample } from './sample.ts'

/** Longer sequences are checked this far: an LSTM's outputs come one after the other. */
const checkedTokens = 256

/** Float64 by each layer's formulas. Bounds of four products in a row are not derived. */
export function* sequenceSamples(bench: SequenceCase, result: Float32Array, layer: 'attention' | 'lstm'): Generator<Sample> {
  const { width } = bench
  const length = Math.min(bench.length, checkedTokens)
  const exact = layer === 'lstm' ? lstm(bench, length) : attentionLayer(bench, length)
  for (const row of sampledRows(length)) {
    for (let c = 0; c < width; c++) yield { actual: result[row * width + c] ?? NaN, exact: exact[row]![c]!, bound: undefined }
  }
}

/** With σ the logistic function: c = σ(f)·c + σ(i)·tanh(g), h = σ(o)·tanh(c), where i, o, f, g = W·x + R·h. */
function lstm(bench: SequenceCase, length: number): Float64Array[] {
  const { width } = bench
  const { input, inputWeights, recurrentWeights } = sequenceVectors(bench)
  const outputs: Float64Array[] = []
  const cell = new Float64Array(width)
  let hidden = new Float64Array(width)
  for (let step = 0; step < length; step++) {
    const x = times(inputWeights, input.subarray(step * width, (step + 1) * width))
    const h = times(recurrentWeights, hidden)
    const gate = (number: number, unit: number): number => x[number * width + unit]! + h[number * width + unit]!
    hidden = new Float64Array(width)
    for (let unit = 0; unit < width; unit++) {
      cell[unit] = logistic(gate(2, unit)) * cell[unit]! + logistic(gate(0, unit)) * Math.tanh(gate(3, unit))
      hidden[unit] = logistic(gate(1, unit)) * Math.tanh(cell[unit]!)
    }
    outputs.push(hidden)
  }
  return outputs
}

function attentionLayer(bench: SequenceCase, length: number): Float64Array[] {
  const { width, heads } = bench
  const { input, projections } = sequenceVectors(bench)
  const [query, key, value, output] = projections
  const dim = width / heads
  const rows = Array.from({ length }, (_, row) => input.subarray(row * width, (row + 1) * width))
  const [q, k, v] = [query, key, value].map((weight) => rows.map((row) => times(weight, row))) as [Rows, Rows, Rows]
  return rows.map((_, row) => {
    const merged = new Float64Array(width)
    const [keys, values] = [k.slice(0, row + 1), v.slice(0, row + 1)]
    for (let start = 0; start < width; start += dim) {
      const end = start + dim
      attendInto(merged.subarray(start, end), q[row]!.subarray(start, end), keys, values, start)
    }
    return times(output, merged)
  })
}

type Rows = Float64Array[]
