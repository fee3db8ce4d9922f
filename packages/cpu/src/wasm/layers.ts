import { elementCount, isContiguous, isFloat, type Activation, type Tensor } from '@qkv/core'
import type { Workspace } from '../memory/workspace.ts'
import { Draft } from './draft.ts'
import { runAtOnce, type Wasm } from './instance.ts'
import * as part from './layer-record.ts'

const layerDraft = /* @__PURE__ */ new Draft(part.layerRecordBytes)

/** Each operation answers whether it did the work: false where there is no kernel for the operands' dtypes or strides. */

export function linear(
  wasm: Wasm,
  space: Workspace,
  input: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  output: Tensor,
): boolean {
  if (collapsedRowStride(input) === undefined) return false
  const outputs = weight.shape[0]!
  const inputs = weight.shape[1]!
  const rows = rowsOf(input)
  if (rows === 0 || outputs === 0) return true
  const draft = layerDraft.begin()
  // Placed where there were gaps, they may lie closer.
  const from = space.place(input)
  const by = space.place(weight)
  draft.setMatrix(part.input, from, collapsedRowStride(from) ?? 0, from.strides.at(-1) ?? 1)
  draft.setMatrix(part.weight, by, by.strides[0]!, by.strides[1]!)
  if (bias !== undefined) draft.setMatrix(part.bias, space.place(bias), 0, space.place(bias).strides[0]!)
  draft.setMatrix(part.output, space.place(output), outputs, 1)
  draft.setInt(part.rows, rows)
  draft.setInt(part.inputs, inputs)
  draft.setInt(part.outputs, outputs)
  const { threads } = wasm.crew
  const kernel = rows <= part.fewRows ? 'linearRows' : 'linear'
  const { tileRows, tileColumns } =
    kernel === 'linear'
      ? outputTile(rows, outputs, threads)
      : { tileRows: rows, tileColumns: Math.min(256, Math.ceil(outputs / threads / 8) * 8) }
  const columnTiles = Math.ceil(outputs / tileColumns)
  draft.setInt(part.tileRows, tileRows)
  draft.setInt(part.tileColumns, tileColumns)
  draft.setInt(part.columnTiles, columnTiles)
  const units = kernel === 'linear' ? columnTiles * Math.ceil(rows / tileRows) : columnTiles
  runAtOnce(wasm, space, kernel, draft, units, rows * outputs * inputs)
  return true
}

/** Large tiles pack inputs and weights less often; every thread should still get several. */
function outputTile(rows: number, outputs: number, threads: number): { readonly tileRows: number; readonly tileColumns: number } {
  let height = 256
  let width = 256
  while (threads > 1 && height + width > 64 && Math.ceil(rows / height) * Math.ceil(outputs / width) < 3 * threads) {
    if (height > width) height /= 2
    else width /= 2
  }
  return { tileRows: Math.min(height, Math.ceil(rows / 4) * 4), tileColumns: Math.min(width, Math.ceil(outputs / 8) * 8) }
}

export function rmsNorm(wasm: Wasm, space: Workspace, input: Tensor, weight: Tensor, epsilon: number, output: Tensor): boolean {
  return normalise(wasm, space, input, weight, undefined, epsilon, part.rootMeanSquare, output)
}

export function layerNorm(
  wasm: Wasm,
  space: Workspace,
  input: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  epsilon: number,
  output: Tensor,
): boolean {
  return normalise(wasm, space, input, weight, bias, epsilon, part.meanAndDeviation, output)
}

function normalise(
  wasm: Wasm,
  space: Workspace,
  input: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  epsilon: number,
  operation: number,
  output: Tensor,
): boolean {
  if (!isPlain(input) || !isPlain(weight) || (bias !== undefined && !isPlain(bias))) return false
  const n = input.shape.at(-1) ?? 0
  const rows = rowsOf(input)
  const draft = layerDraft.begin()
  draft.setMatrix(part.input, space.place(input), n, 1)
  draft.setMatrix(part.weight, space.place(weight), 0, 1)
  if (bias !== undefined) draft.setMatrix(part.bias, space.place(bias), 0, 1)
  draft.setMatrix(part.output, space.place(output), n, 1)
  draft.setInt(part.rows, rows)
  draft.setInt(part.inputs, n)
  draft.setInt(part.operation, operation)
  draft.setFloat(part.epsilon, epsilon)
  runAtOnce(wasm, space, 'normalise', draft, Math.ceil(rows / part.unitRows), rows * n)
  return true
}

const operations: Readonly<Record<Activation, number>> = {
  silu: part.silu,
  relu: part.relu,
  gelu: part.gelu,
  'gelu-tanh': part.geluTanh,
}

export function activate(wasm: Wasm, space: Workspace, input: Tensor, activation: Activation, output: Tensor): boolean {
  if (!isPlain(input)) return false
  const n = elementCount(input.shape)
  const draft = layerDraft.begin()
  draft.setMatrix(part.input, space.place(input), n, 1)
  draft.setMatrix(part.output, space.place(output), n, 1)
  draft.setInt(part.inputs, n)
  draft.setInt(part.operation, operations[activation])
  runAtOnce(wasm, space, 'activate', draft, Math.ceil(n / part.unitElements), 8 * n)
  return true
}

export function combine(
  wasm: Wasm,
  space: Workspace,
  how: 'add' | 'multiply',
  left: Tensor,
  right: Tensor,
  output: Tensor,
): boolean {
  const period = repeatedRun(right)
  if (period === undefined || !isPlain(left)) return false
  const n = elementCount(left.shape)
  const draft = layerDraft.begin()
  draft.setMatrix(part.input, space.place(left), n, 1)
  draft.setMatrix(part.weight, space.place(right), 0, 1)
  draft.setMatrix(part.output, space.place(output), n, 1)
  draft.setInt(part.inputs, n)
  draft.setInt(part.outputs, period)
  draft.setInt(part.operation, how === 'add' ? part.add : part.multiply)
  runAtOnce(wasm, space, 'combine', draft, Math.ceil(n / part.unitElements), n)
  return true
}

export function gather(wasm: Wasm, space: Workspace, table: Tensor, indices: Tensor, output: Tensor): boolean {
  if (!isContiguous(indices)) return false
  const rows = elementCount(indices.shape)
  const n = table.shape[1]!
  const draft = layerDraft.begin()
  const from = space.place(table)
  draft.setMatrix(part.input, from, from.strides[0]!, from.strides[1]!)
  draft.setMatrix(part.weight, space.place(indices), 0, 1)
  draft.setMatrix(part.output, space.place(output), n, 1)
  draft.setInt(part.rows, rows)
  draft.setInt(part.inputs, n)
  runAtOnce(wasm, space, 'gather', draft, Math.ceil(rows / part.unitRows), rows * n)
  return true
}

function isPlain(tensor: Tensor): boolean {
  return isFloat(tensor.dtype) && isContiguous(tensor)
}

/** How many rows: the product of all axes but the last. */
function rowsOf({ shape }: Tensor): number {
  let rows = 1
  for (let axis = 0; axis < shape.length - 1; axis++) rows *= shape[axis]!
  return rows
}

/** The stride from one row (all axes but the last) to the next, where there is one. */
function collapsedRowStride({ shape, strides }: Pick<Tensor, 'shape' | 'strides'>): number | undefined {
  let stride: number | undefined
  let extent = 0
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    if (shape[axis] === 1) continue
    if (stride === undefined) stride = strides[axis]!
    else if (strides[axis] !== extent) return undefined
    extent = strides[axis]! * shape[axis]!
  }
  return stride ?? 0
}

/** How many contiguous elements are repeated over and over, where that is what a tensor is. */
function repeatedRun({ dtype, shape, strides }: Tensor): number | undefined {
  if (!isFloat(dtype)) return undefined
  let run = 1
  let axis = shape.length - 1
  for (; axis >= 0; axis--) {
    if (shape[axis] === 1) continue
    if (strides[axis] !== run) break
    run *= shape[axis]!
  }
  for (; axis >= 0; axis--) if (shape[axis] !== 1 && strides[axis] !== 0) return undefined
  return run
}
