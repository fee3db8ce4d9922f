import {
  contiguousStrides,
  elementCount,
  isFloat,
  isHostTensor,
  reach,
  toFloat32,
  toFloat64,
  type AttentionProblem,
  type Tensor,
} from '@qkv/core'
import type { BlockMap } from '@qkv/core/block-map'
import type { Captures } from '../snippets/expression.wgsl.ts'
import { gpuStorage } from '../storage.ts'
import { operand, type Workspace } from '../workspace.ts'
import { copyElements } from './copy.ts'
import type { Operand } from '../operands.ts'

/** The shared small buffer of attention kernels, and where in it everything lies. */
export interface PackedContext {
  readonly binding: GPUBufferBinding
  readonly parameters: Readonly<Record<string, number>>
}

interface Section {
  readonly words: number
  /** What is known on this side; the rest is copied on the device. */
  readonly host?: Uint8Array
  readonly fromDevice?: (buffer: GPUBuffer, firstWord: number) => void
}

/** Packs lengths, sinks, the mask's bytes, captured tensors and a block map into one buffer. */
export function packContext(workspace: Workspace, problem: AttentionProblem, captures: Captures, map?: BlockMap): PackedContext {
  const sections: Section[] = []
  const parameters: Record<string, number> = {}
  let words = 0
  const add = (section: Section): number => {
    sections.push(section)
    words += section.words
    return words - section.words
  }
  if (problem.lengths) parameters['lengthsAt'] = add(wordsOf(workspace, 'lengths', problem.lengths, 'int32'))
  if (problem.lengths && !isHostTensor(problem.lengths)) parameters['splitsAt'] = add({ words: 1 })
  if (problem.sinks) parameters['sinksAt'] = add(wordsOf(workspace, 'sinks', problem.sinks, 'float32'))
  captures.tensors.forEach((tensor, index) => {
    parameters[`capture${index}`] = add(wordsOf(workspace, 'score', tensor, isFloat(tensor.dtype) ? 'float32' : 'int32'))
    tensor.shape.forEach((size, axis) => (parameters[`capture${index}Size${axis}`] = size))
  })
  captures.scalars.forEach((scalar, index) => (parameters[`scalar${index}`] = scalar.value))
  if (problem.bias && problem.keyScales) {
    const { shape, strides, ...rest } = problem.bias
    const own = shape.map((size, axis) => (strides[axis] === 0 ? 1 : size))
    parameters['biasOffset'] = add(wordsOf(workspace, 'bias', { ...rest, shape: own, strides }, 'float32'))
    contiguousStrides(own).forEach((stride, axis) => (parameters[`biasStride${axis}`] = strides[axis] === 0 ? 0 : stride))
  }
  if (problem.mask) {
    const { section, offset } = bytesOf(workspace, problem.mask)
    parameters['maskOffset'] = 4 * add(section) + offset
    problem.mask.strides.forEach((stride, axis) => (parameters[`maskStride${axis}`] = stride))
  }
  if (map) {
    parameters['planesAt'] = add(hostWords(planesOf(problem, map)))
    parameters['runOffsetsAt'] = add(hostWords(map.runOffsets))
    parameters['runsAt'] = add(hostWords(map.runs))
  }
  return { binding: { buffer: assemble(workspace, sections, words) }, parameters }
}

/** The map's plane for each batch entry and head. */
function planesOf({ batch, queryHeads }: AttentionProblem, map: BlockMap): Uint32Array {
  return Uint32Array.from({ length: batch * queryHeads }, (_, index) =>
    map.planeOf(Math.floor(index / queryHeads), index % queryHeads),
  )
}

function hostWords({ buffer, byteOffset, byteLength }: Uint32Array | Int32Array | Float32Array): Section {
  return { words: byteLength / 4, host: new Uint8Array(buffer, byteOffset, byteLength) }
}

function assemble({ recorder }: Workspace, sections: readonly Section[], words: number): GPUBuffer {
  const bytes = new Uint8Array(4 * words)
  let at = 0
  for (const { host, words } of sections) {
    if (host !== undefined) bytes.set(host, 4 * at)
    at += words
  }
  const buffer = recorder.upload(bytes)
  at = 0
  for (const { fromDevice, words } of sections) {
    fromDevice?.(buffer, at)
    at += words
  }
  return buffer
}

/** A tensor as contiguous 32-bit words. */
function wordsOf(workspace: Workspace, argument: string, tensor: Tensor, dtype: 'int32' | 'float32'): Section {
  const words = elementCount(tensor.shape)
  if (isHostTensor(tensor)) {
    return hostWords(dtype === 'float32' ? toFloat32(tensor) : Int32Array.from(toFloat64(tensor)))
  }
  const source = operand(workspace, argument, tensor)
  return {
    words,
    fromDevice(buffer, firstWord) {
      const target: Operand = {
        dtype,
        shape: tensor.shape,
        strides: contiguousStrides(tensor.shape),
        offset: firstWord,
        binding: { buffer },
      }
      copyElements(workspace, source, target)
    },
  }
}

/** The bytes that a mask touches, as they lie in memory; `offset` is the byte of its element 0. */
function bytesOf({ operation, owner, recorder }: Workspace, mask: Tensor): { section: Section; offset: number } {
  const { first, last } = reach(mask.shape, mask.strides, mask.offset)
  const start = Math.max(0, first) & ~3
  const byteLength = Math.max(0, Math.ceil((last + 1 - start) / 4) * 4)
  const offset = mask.offset - start
  if (isHostTensor(mask)) {
    const { buffer, byteOffset } = mask.storage
    const host = new Uint8Array(buffer, byteOffset + start, Math.max(0, last + 1 - start))
    return { section: { words: byteLength / 4, host }, offset }
  }
  const { buffer: source } = gpuStorage(owner, operation, 'mask', mask)
  const fromDevice = (buffer: GPUBuffer, firstWord: number): void => {
    if (byteLength > 0) recorder.copy(source, start, buffer, 4 * firstWord, byteLength)
  }
  return { section: { words: byteLength / 4, fromDevice }, offset }
}
