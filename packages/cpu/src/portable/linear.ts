import type { HostTensor } from '@qkv/core'
import { loadRow, loadVector, forEachRow, storeRow } from './rows.ts'
import { multiplyAdd, padded } from './tile-products.ts'

const tileRows = 32
const tileOutputs = 32
const tileInputs = 256

/**
 * output [..., outputs] = input [..., inputs] · weightᵀ + bias, by tiles: for so many rows and outputs at a time, sums
 * start at the bias and take one stretch of inputs after another.
 */
export function linear(input: HostTensor, weight: HostTensor, bias: HostTensor | undefined, output: HostTensor): void {
  const [outputs = 0, inputs = 0] = weight.shape
  const { rowStarts, outputStarts } = startsOfRows(input, output)
  const offsets = bias && loadVector(bias)
  const width = padded(Math.min(tileOutputs, outputs))
  const a = new Float64Array(tileRows * inputs)
  const b = new Float64Array(Math.min(tileInputs, inputs) * width)
  const c = new Float64Array(tileRows * width)
  for (let firstRow = 0; firstRow < rowStarts.length; firstRow += tileRows) {
    const rows = Math.min(tileRows, rowStarts.length - firstRow)
    for (let i = 0; i < rows; i++) loadRow(input, rowStarts[firstRow + i]!, a.subarray(i * inputs, (i + 1) * inputs))
    for (let firstOutput = 0; firstOutput < outputs; firstOutput += tileOutputs) {
      const columns = Math.min(tileOutputs, outputs - firstOutput)
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) c[i * width + j] = offsets?.[firstOutput + j] ?? 0
      }
      for (let first = 0; first < inputs; first += tileInputs) {
        const inner = Math.min(tileInputs, inputs - first)
        loadTransposed(weight, firstOutput, columns, first, inner, b, width)
        multiplyAdd(a.subarray(first), inputs, b, width, c, rows, inner, padded(columns))
      }
      storeTile(output, outputStarts, firstRow, rows, firstOutput, columns, c, width)
    }
  }
}

function startsOfRows(input: HostTensor, output: HostTensor) {
  const rowStarts: number[] = []
  const outputStarts: number[] = []
  forEachRow(output.shape, [input, output], ([from = 0, to = 0]) => {
    rowStarts.push(from)
    outputStarts.push(to)
  })
  return { rowStarts, outputStarts }
}

/** Weights [outputs, inputs] as [inputs, outputs]. */
function loadTransposed(
  weight: HostTensor,
  firstOutput: number,
  columns: number,
  first: number,
  inner: number,
  into: Float64Array,
  width: number,
): void {
  const [byOutput = 0, byInput = 0] = weight.strides
  const row = new Float64Array(inner)
  for (let j = 0; j < columns; j++) {
    loadRow(weight, weight.offset + (firstOutput + j) * byOutput + first * byInput, row)
    for (let k = 0; k < inner; k++) into[k * width + j] = row[k]!
  }
}

function storeTile(
  output: HostTensor,
  starts: readonly number[],
  firstRow: number,
  rows: number,
  firstOutput: number,
  columns: number,
  from: Float64Array,
  width: number,
): void {
  const stride = output.strides.at(-1)!
  for (let i = 0; i < rows; i++) {
    storeRow(output, starts[firstRow + i]! + firstOutput * stride, from.subarray(i * width, i * width + columns))
  }
}
