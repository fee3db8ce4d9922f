import type { HostTensor } from '@qkv/core'
import { forEachRow, loadRow, loadVector, storeRow } from './rows.ts'

/** Zhang and Sennrich, Root mean square layer normalization (2019): x / √(mean(x²) + epsilon) · weight, over the last axis. */
export function rmsNorm(input: HostTensor, weight: HostTensor, epsilon: number, output: HostTensor): void {
  const factors = loadVector(weight)
  const row = new Float64Array(factors.length)
  forEachRow(output.shape, [input, output], ([start = 0, end = 0]) => {
    loadRow(input, start, row)
    const scale = 1 / Math.sqrt(meanSquare(row) + epsilon)
    for (let i = 0; i < row.length; i++) row[i]! *= scale * factors[i]!
    storeRow(output, end, row)
  })
}

/** Ba, Kiros and Hinton, Layer normalization (2016): (x − mean) / √(variance + epsilon) · weight + bias. */
export function layerNorm(
  input: HostTensor,
  weight: HostTensor,
  bias: HostTensor | undefined,
  epsilon: number,
  output: HostTensor,
): void {
  const factors = loadVector(weight)
  const offsets = bias && loadVector(bias)
  const row = new Float64Array(factors.length)
  forEachRow(output.shape, [input, output], ([start = 0, end = 0]) => {
    loadRow(input, start, row)
    const mean = row.reduce((sum, x) => sum + x, 0) / row.length
    for (let i = 0; i < row.length; i++) row[i]! -= mean
    const scale = 1 / Math.sqrt(meanSquare(row) + epsilon)
    for (let i = 0; i < row.length; i++) row[i] = row[i]! * scale * factors[i]! + (offsets?.[i] ?? 0)
    storeRow(output, end, row)
  })
}

function meanSquare(row: Float64Array): number {
  let sum = 0
  for (let i = 0; i < row.length; i++) sum += row[i]! * row[i]!
  return sum / row.length
}
