import { isFloat, type Partial, type RotaryTable, type Tensor } from '@qkv/core'
import type { AttentionTarget } from '../engine.ts'
import type { Placed, Workspace } from '../memory/workspace.ts'
import { Draft } from './draft.ts'
import { runAtOnce, type Wasm } from './instance.ts'
import * as part from './vector-record.ts'

const vectorDraft = /* @__PURE__ */ new Draft(part.vectorRecordBytes)

/**
 * What is done to the vectors of a tensor [batch, heads, length, elements]. A tensor with fewer axes is one that has one
 * batch entry, one head, …; more are left to the portable kernels, as are dtypes that the kernels do not convert.
 */
type FourAxes = readonly [batch: number, heads: number, length: number, elements: number]

export function rotate(
  wasm: Wasm,
  space: Workspace,
  input: Tensor,
  { cos, sin, layout, dim }: RotaryTable,
  output: Tensor,
): boolean {
  const draft = draftFor(space, input, output)
  draft.setTensor(part.cos, space.place(cos))
  draft.setTensor(part.sin, space.place(sin))
  draft.setInt(part.dim, dim)
  draft.setInt(part.layout, layout === 'half' ? part.half : part.interleaved)
  run(wasm, space, 'rotate', draft, input)
  return true
}

export function copy(wasm: Wasm, space: Workspace, source: Tensor, target: Tensor): boolean {
  const converts = isFloat(source.dtype) && isFloat(target.dtype)
  if (source.shape.length > 4 || (source.dtype !== target.dtype && !converts)) return false
  run(wasm, space, 'copy', draftFor(space, source, target), source)
  return true
}

export function quantize(wasm: Wasm, space: Workspace, source: Tensor, target: Tensor, scales: Tensor): boolean {
  if (source.shape.length > 4) return false
  const draft = draftFor(space, source, target)
  draft.setTensor(part.scales, fourAxes(space.place(scales)))
  draft.setInt(part.groups, scales.shape.at(-1)!)
  run(wasm, space, 'quantize', draft, source)
  return true
}

export function merge(wasm: Wasm, space: Workspace, partials: readonly Partial[], { output, lse }: AttentionTarget): boolean {
  if (lse === undefined) return false
  let next = 0
  for (const { output, lse } of partials.toReversed()) {
    const draft = draftFor(space, output, output)
    draft.setTensor(part.partLse, space.place(lse))
    draft.setInt(part.nextPart, next)
    next = draft.place(space)
  }
  const draft = draftFor(space, output, output)
  draft.setInt(part.lse, space.place(lse).address)
  draft.setInt(part.nextPart, next)
  run(wasm, space, 'merge', draft, output, partials.length)
  return true
}

/** A record that is still to be placed, of an operand and of what becomes of it. */
function draftFor(space: Workspace, input: Tensor, output: Tensor): Draft {
  const [, heads, length, elements] = sizes(input)
  const draft = vectorDraft.begin()
  draft.setTensor(part.input, fourAxes(space.place(input)))
  draft.setTensor(part.output, fourAxes(space.place(output)))
  draft.setInt(part.heads, heads)
  draft.setInt(part.length, length)
  draft.setInt(part.elements, elements)
  return draft
}

function run(wasm: Wasm, space: Workspace, kernel: string, draft: Draft, input: Tensor, times = 1): void {
  const [batch, heads, length, elements] = sizes(input)
  runAtOnce(wasm, space, kernel, draft, batch * heads, batch * heads * length * elements * times)
}

function sizes({ shape }: Tensor): FourAxes {
  const missing = 4 - shape.length
  const size = (axis: number): number => (axis < missing ? 1 : shape[axis - missing]!)
  return [size(0), size(1), size(2), size(3)]
}

function fourAxes(placed: Placed): Placed {
  const { strides } = placed
  if (strides.length === 4) return placed
  return { ...placed, strides: [...new Array<number>(4 - strides.length).fill(0), ...strides] }
}
