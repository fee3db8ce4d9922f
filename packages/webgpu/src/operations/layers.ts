import { elementCount, stridesLike, type FloatDtype, type OwnedTensor, type RotaryTable, type Tensor } from '@qkv/core'
import { refusal } from '../errors.ts'
import { invocationsPerGroup } from '../kernel.ts'
import { gather, linearRows, linear, normalise, rotate } from '../kernels/lazy.ts'
import { linearTile } from '../kernels/linear-tile.ts'
import { hasVectors, strideParameters, type Operand } from '../operands.ts'
import type { Access } from '../snippets/elements.wgsl.ts'
import { elementsPerWord } from '../snippets/bits.wgsl.ts'
import { floatDtype, operand, type Workspace } from '../workspace.ts'
import { broadcastOperand, expectFloats, expectOption, expectReadable, expectShape } from './checks.ts'
import { contiguous } from './copy.ts'
import { produce } from './output.ts'
import { collapse } from './walk.ts'

/** The leading axes of a tensor as one axis of rows. */
interface Rows {
  readonly operand: Operand
  readonly count: number
  readonly dim: number
  readonly rowStride: number
  readonly access: Access<FloatDtype>
}

export function multiplyByWeight(workspace: Workspace, input: Tensor, weight: Tensor, bias?: Tensor): OwnedTensor {
  expectFloats(workspace, 'input', input)
  expectFloats(workspace, 'weight', weight)
  if (bias) expectFloats(workspace, 'bias', bias)
  const [outputs = 0, inputs = 0] = weight.shape
  expectShape(workspace, 'weight', weight, weight.shape.length === 2, '[outputs, inputs]')
  expectShape(workspace, 'input', input, input.shape.at(-1) === inputs, `[..., ${inputs}]`)
  if (bias) expectShape(workspace, 'bias', bias, bias.shape.length === 1 && bias.shape[0] === outputs, `[${outputs}]`)
  const rows = rowsOf(workspace, 'input', input)
  const weights = rowsOf(workspace, 'weight', weight)
  const offset = bias && operand(workspace, 'bias', bias)
  return produce(workspace, [...input.shape.slice(0, -1), outputs], input.dtype, (access, target) => {
    const spec = {
      input: rows.access,
      weight: weights.access,
      bias: offset && floatDtype(offset.dtype),
      output: access,
    }
    const job = {
      parameters: {
        rowCount: rows.count,
        inputs,
        outputs,
        ...rowParameters('input', rows),
        ...rowParameters('weight', weights),
        ...(offset ? vectorParameters('bias', offset) : {}),
        outputOffset: target.offset,
        outputStride3: 1,
      },
      buffers: {
        input: rows.operand.binding,
        weight: weights.operand.binding,
        output: target.binding,
        ...(offset ? { bias: offset.binding } : {}),
      },
      work: rows.count * outputs * inputs,
    }
    if (rows.count >= 16 && !workspace.profile.software) {
      const groups = Math.ceil(rows.count / linearTile.rows) * Math.ceil(outputs / linearTile.outputs)
      workspace.recorder.dispatch(linear, { ...spec, whole: inputs % linearTile.depth === 0 }, { ...job, groups })
    } else {
      const rowsEach = rows.count < 4 ? 1 : 4
      const invocations = Math.ceil(rows.count / rowsEach) * Math.ceil(outputs / 4)
      workspace.recorder.dispatch(
        linearRows,
        { ...spec, rows: rowsEach },
        { ...job, groups: Math.ceil(invocations / invocationsPerGroup) },
      )
    }
  })
}

export function normaliseRows(
  workspace: Workspace,
  input: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  epsilon: number,
  centred: boolean,
): OwnedTensor {
  expectFloats(workspace, 'input', input)
  expectShape(workspace, 'input', input, input.shape.length > 0, '[…, dim]')
  expectOption(workspace, 'epsilon', epsilon >= 0 && Number.isFinite(epsilon), 'a number ≥ 0', epsilon)
  const dim = input.shape.at(-1) ?? 0
  for (const [argument, view] of [
    ['weight', weight],
    ['bias', bias],
  ] as const) {
    if (view) expectFloats(workspace, argument, view)
    if (view) expectShape(workspace, argument, view, view.shape.length === 1 && view.shape[0] === dim, `[${dim}]`)
  }
  const rows = rowsOf(workspace, 'input', input)
  const factor = operand(workspace, 'weight', weight)
  const offset = bias && operand(workspace, 'bias', bias)
  return produce(workspace, input.shape, input.dtype, (access, target) => {
    const spec = {
      centred,
      input: rows.access,
      weight: floatDtype(factor.dtype),
      bias: offset && floatDtype(offset.dtype),
      output: access,
    }
    workspace.recorder.dispatch(normalise, spec, {
      parameters: {
        dim,
        epsilon,
        ...rowParameters('input', rows),
        ...vectorParameters('weight', factor),
        ...(offset ? vectorParameters('bias', offset) : {}),
        outputOffset: target.offset,
        outputStride3: 1,
      },
      buffers: {
        input: rows.operand.binding,
        weight: factor.binding,
        output: target.binding,
        ...(offset ? { bias: offset.binding } : {}),
      },
      groups: dim === 0 ? 0 : rows.count,
      work: 4 * rows.count * dim,
    })
  })
}

export function rotateVectors(workspace: Workspace, input: Tensor, table: RotaryTable): OwnedTensor {
  expectFloats(workspace, 'input', input)
  expectOption(
    workspace,
    'table.layout',
    table.layout === 'half' || table.layout === 'interleaved',
    'half or interleaved',
    table.layout,
  )
  const [batch = 0, heads = 0, length = 0, headDim = 0] = input.shape
  expectShape(workspace, 'input', input, input.shape.length === 4, '[batch, heads, length, headDim]')
  expectShape(workspace, 'input', input, table.dim % 2 === 0 && table.dim <= headDim, `at least ${table.dim} elements a vector`)
  const tableShape = [batch, heads, length, table.dim / 2]
  const source = operand(workspace, 'input', input)
  const cosine = operand(workspace, 'table.cos', broadcastOperand(workspace, 'table.cos', table.cos, tableShape))
  const sine = operand(workspace, 'table.sin', broadcastOperand(workspace, 'table.sin', table.sin, tableShape))
  const rows = batch * heads * length
  return produce(
    workspace,
    input.shape,
    input.dtype,
    (access, target) => {
      const spec = {
        headDim,
        dim: table.dim,
        layout: table.layout,
        input: floatDtype(source.dtype),
        table: floatDtype(cosine.dtype),
        output: access,
      }
      workspace.recorder.dispatch(rotate, spec, {
        parameters: {
          rows,
          heads,
          length,
          ...strideParameters('input', source),
          ...strideParameters('cosine', cosine),
          ...strideParameters('sine', sine),
          ...strideParameters('output', target),
        },
        buffers: { input: source.binding, cosine: cosine.binding, sine: sine.binding, output: target.binding },
        groups: Math.ceil((rows * Math.ceil(headDim / 4)) / invocationsPerGroup),
        work: 8 * rows * headDim,
      })
    },
    stridesLike(input.shape, input),
  )
}

export function gatherRows(workspace: Workspace, table: Tensor, indices: Tensor): OwnedTensor {
  expectReadable(workspace, 'table', table)
  expectReadable(workspace, 'indices', indices)
  const [rows = 0, dim = 0] = table.shape
  expectShape(workspace, 'table', table, table.shape.length === 2, '[rows, dim]')
  if (indices.dtype !== 'int32') {
    throw refusal(workspace, 'DTYPE_UNSUPPORTED', 'indices', 'int32', indices.dtype)
  }
  const source = operand(workspace, 'table', table)
  const places = contiguous(workspace, operand(workspace, 'indices', indices))
  const shape = [...indices.shape, dim]
  const output = workspace.allocate(shape, table.dtype)
  const count = elementCount(shape)
  workspace.recorder.dispatch(
    gather,
    { dtype: table.dtype },
    {
      parameters: { count, rows, dim, ...strideParameters('table', source), indicesOffset: places.offset },
      buffers: { table: source.binding, indices: places.binding, output: operand(workspace, 'output', output).binding },
      groups: Math.ceil(count / elementsPerWord[table.dtype] / invocationsPerGroup),
      work: count,
    },
  )
  return output
}

function rowsOf(workspace: Workspace, argument: string, tensor: Tensor): Rows {
  const leading = tensor.shape.slice(0, -1)
  const own = operand(workspace, argument, tensor)
  const { sizes, strides } = collapse(leading, [own.strides.slice(0, -1)])
  const view = sizes.length === 1 ? own : contiguous(workspace, own)
  const dim = tensor.shape.at(-1) ?? 0
  const rowStride = sizes.length === 1 ? (strides[0]?.[0] ?? 0) : dim
  const count = elementCount(leading)
  const layout = { shape: [count, dim], strides: [rowStride, view.strides.at(-1) ?? 1], offset: view.offset }
  return { operand: view, count, dim, rowStride, access: { dtype: floatDtype(view.dtype), vectors: hasVectors(layout) } }
}

function rowParameters(name: string, { operand: view, rowStride }: Rows): Record<string, number> {
  return { [`${name}Offset`]: view.offset, [`${name}Stride3`]: view.strides.at(-1) ?? 1, [`${name}RowStride`]: rowStride }
}

function vectorParameters(name: string, { offset, strides }: Operand): Record<string, number> {
  return { [`${name}Offset`]: offset, [`${name}Stride`]: strides[0] ?? 1 }
}
