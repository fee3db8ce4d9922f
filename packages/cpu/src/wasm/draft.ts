import { bytesPerElement, type Dtype } from '@qkv/core'
import type { Placed, Workspace } from '../memory/workspace.ts'
import * as part from './record.ts'

/** The numbers that kernels know dtypes by. */
export const dtypeNumbers: Readonly<Record<Dtype, number>> = {
  float32: part.float32,
  float16: part.float16,
  bfloat16: part.bfloat16,
  int8: part.int8,
  uint8: part.uint8,
  int32: part.int32,
  bool: part.bool,
}

/** Drafts are written one at a time, so all of them are written here: making arrays anew would cost more than the writing. */
const buffer = new ArrayBuffer(512)
const ints = new Int32Array(buffer)
const floats = new Float32Array(buffer)
const doubles = new Float64Array(buffer)

/** A kernel's record while it is written: all zeros at first. Parts are named by the byte they start at. */
export class Draft {
  readonly #bytes: number

  /** Ends the draft before. */
  constructor(bytes: number) {
    this.#bytes = bytes
    ints.fill(0, 0, bytes >> 2)
  }

  setInt(at: number, value: number): void {
    ints[at >> 2] = value
  }

  setFloat(at: number, value: number): void {
    floats[at >> 2] = value
  }

  setDouble(at: number, value: number): void {
    doubles[at >> 3] = value
  }

  /** Four axes; see `record.ts`. Only where keys are quantised does uint8 hold 4-bit elements. */
  setTensor(at: number, { address, dtype, strides }: Placed, quantized = false): void {
    const size = bytesPerElement[dtype]
    ints[(at + part.address) >> 2] = address
    ints[(at + part.dtype) >> 2] = quantized && dtype === 'uint8' ? part.int4 : dtypeNumbers[dtype]
    for (let axis = 0; axis < 4; axis++) ints[((at + part.batchStride) >> 2) + axis] = (strides[axis] ?? 0) * size
  }

  /** A matrix; see `layer-record.ts`. Strides in elements. */
  setMatrix(at: number, { address, dtype }: Placed, rowStride: number, elementStride: number): void {
    const size = bytesPerElement[dtype]
    ints[at >> 2] = address
    ints[(at >> 2) + 1] = dtypeNumbers[dtype]
    ints[(at >> 2) + 2] = rowStride * size
    ints[(at >> 2) + 3] = elementStride * size
  }

  /** Puts the record into linear memory, for as long as the operation runs, and gives its address. */
  place(space: Workspace): number {
    const words = this.#bytes >> 2
    const address = space.scratch(this.#bytes)
    const memory = space.arena.view('int32')
    const start = address / 4
    for (let word = 0; word < words; word++) memory[start + word] = ints[word]!
    return address
  }
}
