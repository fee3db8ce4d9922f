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

/**
 * A kernel's record while it is written. There is one draft of each kind of record, since they are written one at a time:
 * making one for each call would cost more than the writing. Parts are named by the byte they start at.
 */
export class Draft {
  readonly #ints: Int32Array
  readonly #floats: Float32Array
  readonly #doubles: Float64Array
  readonly #zeros: Int32Array

  constructor(bytes: number) {
    const whole = new ArrayBuffer(Math.ceil(bytes / 8) * 8)
    this.#ints = new Int32Array(whole)
    this.#floats = new Float32Array(whole)
    this.#doubles = new Float64Array(whole)
    this.#zeros = new Int32Array(this.#ints.length)
  }

  /** All zeros again. */
  begin(): this {
    this.#ints.set(this.#zeros)
    return this
  }

  setInt(at: number, value: number): void {
    this.#ints[at >> 2] = value
  }

  setFloat(at: number, value: number): void {
    this.#floats[at >> 2] = value
  }

  setDouble(at: number, value: number): void {
    this.#doubles[at >> 3] = value
  }

  /** Four axes; see `record.ts`. Only where keys are quantised does uint8 hold 4-bit elements. */
  setTensor(at: number, { address, dtype, strides }: Placed, quantized = false): void {
    const ints = this.#ints
    const size = bytesPerElement[dtype]
    ints[(at + part.address) >> 2] = address
    ints[(at + part.dtype) >> 2] = quantized && dtype === 'uint8' ? part.int4 : dtypeNumbers[dtype]
    for (let axis = 0; axis < 4; axis++) ints[((at + part.batchStride) >> 2) + axis] = (strides[axis] ?? 0) * size
  }

  /** A matrix; see `layer-record.ts`. Strides in elements. */
  setMatrix(at: number, { address, dtype }: Placed, rowStride: number, elementStride: number): void {
    const ints = this.#ints
    const size = bytesPerElement[dtype]
    ints[at >> 2] = address
    ints[(at >> 2) + 1] = dtypeNumbers[dtype]
    ints[(at >> 2) + 2] = rowStride * size
    ints[(at >> 2) + 3] = elementStride * size
  }

  /** Puts the record into linear memory, for as long as the operation runs, and gives its address. */
  place(space: Workspace): number {
    const address = space.scratch(this.#ints.byteLength)
    this.write(space, address)
    return address
  }

  /** Writes the record to a place that there is room for it. */
  write({ arena }: Workspace, address: number): void {
    arena.view('int32').set(this.#ints, address / 4)
  }
}
