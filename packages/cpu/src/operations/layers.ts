import { broadcastTo, QkvError, stridesLike, type Activation, type OwnedTensor, type RotaryTable, type Tensor } from '@qkv/core'
import type { Engine } from '../engine.ts'
import { hostView } from '../memory/storage.ts'
import type { Workspace } from '../memory/workspace.ts'
import * as portable from '../portable/index.ts'
import { expectDtype, expectFloats, expectReadable, expectSameShape, expectShape, expectWritable, hasShape } from './checks.ts'

/** Each operation checks its operands, makes its result, and lets the engine, or else the portable kernel, fill it. */

export function linear(space: Workspace, engine: Engine, input: Tensor, weight: Tensor, bias: Tensor | undefined): OwnedTensor {
  expectFloats(space, 'input', input)
  expectFloats(space, 'weight', weight)
  if (bias !== undefined) expectFloats(space, 'bias', bias)
  expectShape(space, 'weight', weight, weight.shape.length === 2, '[outputs, inputs]')
  const outputs = weight.shape[0]!
  const inputs = weight.shape[1]!
  expectShape(
    space,
    'input',
    input,
    input.shape.at(-1) === inputs,
    () => `[…, ${inputs}], as weight is [${weight.shape.join(',')}]`,
  )
  if (bias !== undefined) expectSameShape(space, 'bias', bias, [outputs])
  const output = space.result(input.shape.with(-1, outputs), input.dtype)
  if (!engine.linear?.(space, input, weight, bias, output)) {
    portable.linear(hostView(input), hostView(weight), bias && hostView(bias), hostView(output))
  }
  return output
}

export function rmsNorm(space: Workspace, engine: Engine, input: Tensor, weight: Tensor, epsilon: number): OwnedTensor {
  expectNormalisable(space, input, weight, undefined, epsilon)
  const output = space.result(input.shape, input.dtype)
  if (!engine.rmsNorm?.(space, input, weight, epsilon, output)) {
    portable.rmsNorm(hostView(input), hostView(weight), epsilon, hostView(output))
  }
  return output
}

export function layerNorm(
  space: Workspace,
  engine: Engine,
  input: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  epsilon: number,
): OwnedTensor {
  expectNormalisable(space, input, weight, bias, epsilon)
  const output = space.result(input.shape, input.dtype)
  if (!engine.layerNorm?.(space, input, weight, bias, epsilon, output)) {
    portable.layerNorm(hostView(input), hostView(weight), bias && hostView(bias), epsilon, hostView(output))
  }
  return output
}

export function activate(space: Workspace, engine: Engine, input: Tensor, activation: Activation): OwnedTensor {
  expectFloats(space, 'input', input)
  if (!portable.activations.includes(activation)) {
    throw invalid(space, 'activation', `one of ${portable.activations.join(', ')}`, String(activation))
  }
  const output = space.result(input.shape, input.dtype)
  if (!engine.activate?.(space, input, activation, output)) portable.activate(hostView(input), activation, hostView(output))
  return output
}

export function add(space: Workspace, engine: Engine, left: Tensor, right: Tensor): OwnedTensor {
  return combine(space, engine, 'add', left, right)
}

export function multiply(space: Workspace, engine: Engine, left: Tensor, right: Tensor): OwnedTensor {
  return combine(space, engine, 'multiply', left, right)
}

function combine(space: Workspace, engine: Engine, how: 'add' | 'multiply', left: Tensor, right: Tensor): OwnedTensor {
  expectFloats(space, 'left', left)
  expectFloats(space, 'right', right)
  const repeated = hasShape(right, left.shape) ? right : broadcastOperand(space, 'right', right, left.shape)
  const output = space.result(left.shape, left.dtype)
  if (!engine[how]?.(space, left, repeated, output)) portable[how](hostView(left), hostView(repeated), hostView(output))
  return output
}

export function gather(space: Workspace, engine: Engine, table: Tensor, indices: Tensor): OwnedTensor {
  expectReadable(space, 'table', table)
  expectReadable(space, 'indices', indices)
  expectShape(space, 'table', table, table.shape.length === 2, '[rows, dim]')
  expectDtype(space, 'indices', indices, 'int32')
  const [rows = 0, dim = 0] = table.shape
  const outside = portable.firstOutside(hostView(indices), rows)
  if (outside !== undefined)
    throw invalid(space, 'indices', `whole numbers from 0 to ${rows - 1}, the rows of table`, String(outside))
  const output = space.result([...indices.shape, dim], table.dtype)
  if (!engine.gather?.(space, table, indices, output)) portable.gather(hostView(table), hostView(indices), hostView(output))
  return output
}

export function copy(space: Workspace, engine: Engine, source: Tensor, target: Tensor): void {
  expectReadable(space, 'source', source)
  expectReadable(space, 'target', target)
  expectSameShape(space, 'source', source, target.shape)
  expectWritable(space, 'target', target)
  if (source.storage !== target.storage && engine.copy?.(space, source, target)) return
  const from = hostView(source)
  // Both may be views of the same elements: what is read must not have been written.
  portable.copyElements(source.storage === target.storage ? portable.packed(from) : from, hostView(target))
}

export function quantize(space: Workspace, engine: Engine, source: Tensor, target: Tensor, scales: Tensor): void {
  expectFloats(space, 'source', source)
  expectShape(space, 'source', source, source.shape.length > 0, '[…, dim]')
  expectWritable(space, 'target', target)
  expectDtype(space, 'target', target, 'int8', 'uint8')
  expectWritable(space, 'scales', scales)
  expectDtype(space, 'scales', scales, 'float32')
  const [leading, dim] = [source.shape.slice(0, -1), source.shape.at(-1)!]
  const perByte = target.dtype === 'int8' ? 1 : 2
  const groups = scales.shape.at(-1) ?? 0
  expectSameShape(space, 'target', target, [...leading, dim / perByte])
  const fits = dim === 0 ? groups === 0 : groups > 0 && dim % (groups * perByte) === 0
  const even = perByte === 2 ? ' of an even size' : ''
  expectShape(
    space,
    'scales',
    scales,
    fits && hasShape(scales, [...leading, groups]),
    () => `[${[...leading, 'groups']}], equal groups${even} of ${dim}`,
  )
  if (engine.quantize?.(space, source, target, scales)) return
  portable.quantize(hostView(source), hostView(target), hostView(scales))
}

export function rotate(space: Workspace, engine: Engine, input: Tensor, table: RotaryTable): OwnedTensor {
  const { layout, dim } = table
  expectFloats(space, 'input', input)
  expectFloats(space, 'table.cos', table.cos)
  expectFloats(space, 'table.sin', table.sin)
  if (layout !== 'half' && layout !== 'interleaved') throw invalid(space, 'table.layout', 'half or interleaved', String(layout))
  const fits = input.shape.length === 4 && Number.isSafeInteger(dim) && dim >= 0 && dim % 2 === 0 && dim <= input.shape[3]!
  expectShape(
    space,
    'input',
    input,
    fits,
    () => `[batch, heads, length, headDim] with headDim at least the table's even dim, ${dim}`,
  )
  const angles = [input.shape[0]!, input.shape[1]!, input.shape[2]!, dim / 2]
  const cos = broadcastOperand(space, 'table.cos', table.cos, angles)
  const sin = broadcastOperand(space, 'table.sin', table.sin, angles)
  const output = space.result(input.shape, input.dtype, stridesLike(input.shape, input))
  if (!engine.rotate?.(space, input, { cos, sin, layout, dim }, output)) {
    portable.rotate(hostView(input), { cos: hostView(cos), sin: hostView(sin), layout, dim }, hostView(output))
  }
  return output
}

function expectNormalisable(space: Workspace, input: Tensor, weight: Tensor, bias: Tensor | undefined, epsilon: number): void {
  expectFloats(space, 'input', input)
  expectShape(space, 'input', input, input.shape.length > 0, '[…, dim]')
  const dim = input.shape.at(-1)!
  expectFloats(space, 'weight', weight)
  expectSameShape(space, 'weight', weight, [dim])
  if (bias !== undefined) {
    expectFloats(space, 'bias', bias)
    expectSameShape(space, 'bias', bias, [dim])
  }
  if (!(epsilon >= 0 && Number.isFinite(epsilon))) throw invalid(space, 'epsilon', 'a number ≥ 0', String(epsilon))
}

function broadcastOperand({ operation }: Workspace, argument: string, tensor: Tensor, shape: readonly number[]): Tensor {
  try {
    return broadcastTo(tensor, shape)
  } catch (cause) {
    if (!QkvError.is(cause)) throw cause
    const { expected, received } = cause
    throw new QkvError({ code: 'SHAPE_MISMATCH', operation, argument, expected, received })
  }
}

function invalid({ operation }: Workspace, argument: string, expected: string, received: string): QkvError {
  return new QkvError({ code: 'OPTION_INVALID', operation, argument, expected, received })
}
