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

export function draftRecord(space: Workspace, bytes: number): Draft {
  const buffer = new ArrayBuffer(bytes)
  const ints = new Int32Array(buffer)
  return {
    setInt: (at, value) => void (ints[at >> 2] = value),
    setFloat: (at, value) => void (new Float32Array(buffer)[at >> 2] = value),
    setDouble: (at, value) => void (new Float64Array(buffer)[at >> 3] = value),
    setTensor(at, { address, dtype, strides }, quantized = false) {
      const size = bytesPerElement[dtype]
      ints[(at + part.address) >> 2] = address
      ints[(at + part.dtype) >> 2] = quantized && dtype === 'uint8' ? part.int4 : part[dtype]
      for (let axis = 0; axis < 4; axis++) ints[((at + part.batchStride) >> 2) + axis] = (strides[axis] ?? 0) * size
    },
    setMatrix(at, { address, dtype }, rowStride, elementStride) {
      const size = bytesPerElement[dtype]
      ints.set([address, part[dtype], rowStride * size, elementStride * size], at >> 2)
    },
    place() {
      const address = space.scratch(bytes)
      space.arena.view('int32').set(ints, address >> 2)
      return address
    },
  }
}
