import { bytesPerElement } from '@qkv/core'
import type { Placed, Workspace } from '../memory/workspace.ts'
import * as part from './record.ts'

/** A kernel's record while it is written: all zeros at first. Parts are named by the byte they start at. */
export interface Draft {
  setInt(at: number, value: number): void
  setFloat(at: number, value: number): void
  setDouble(at: number, value: number): void
  /** Four axes; see `record.ts`. Only where keys are quantised does uint8 hold 4-bit elements. */
  setTensor(at: number, placed: Placed, quantized?: boolean): void
  /** A matrix; see `layer-record.ts`. Strides in elements. */
  setMatrix(at: number, placed: Placed, rowStride: number, elementStride: number): void
  /** Puts the record into linear memory, for as long as the operation runs, and gives its address. */
  place(): number
}

/** Drafts are written one at a time, so all of them are written here: making arrays anew would cost more than the writing. */
const buffer = new ArrayBuffer(512)
const ints = new Int32Array(buffer)
const floats = new Float32Array(buffer)
const doubles = new Float64Array(buffer)

export function draftRecord(space: Workspace, bytes: number): Draft {
  ints.fill(0)
  return {
    ...setters,
    place() {
      const address = space.scratch(bytes)
      const memory = space.arena.view('int32')
      for (let word = 0; word < bytes >> 2; word++) memory[(address >> 2) + word] = ints[word]!
      return address
    },
  }
}

const setters = {
  setInt: (at, value) => void (ints[at >> 2] = value),
  setFloat: (at, value) => void (floats[at >> 2] = value),
  setDouble: (at, value) => void (doubles[at >> 3] = value),
  setTensor(at, { address, dtype, strides }, quantized = false) {
    const size = bytesPerElement[dtype]
    ints[(at + part.address) >> 2] = address
    ints[(at + part.dtype) >> 2] = quantized && dtype === 'uint8' ? part.int4 : part[dtype]
    for (let axis = 0; axis < 4; axis++) ints[((at + part.batchStride) >> 2) + axis] = (strides[axis] ?? 0) * size
  },
  setMatrix(at, { address, dtype }, rowStride, elementStride) {
    const size = bytesPerElement[dtype]
    ints[at >> 2] = address
    ints[(at >> 2) + 1] = part[dtype]
    ints[(at >> 2) + 2] = rowStride * size
    ints[(at >> 2) + 3] = elementStride * size
  },
} satisfies Omit<Draft, 'place'>
