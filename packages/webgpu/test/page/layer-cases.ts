import { tensor, type HostTensor } from '@qkv/core'
import { random } from '@qkv/testing'

/** Operands of the operations around attention, drawn alike in the page and beside it. */
export interface LayerCase {
  readonly rows: number
  readonly inputs: number
  readonly outputs: number
  /** [1, 2, rows, inputs] */
  readonly input: HostTensor
  /** [outputs, inputs] */
  readonly weight: HostTensor
  /** [outputs] */
  readonly bias: HostTensor
  /** [inputs] */
  readonly scale: HostTensor
  /** Of angles, [1, 1, rows, inputs / 2]. */
  readonly cos: HostTensor
  readonly sin: HostTensor
}

export function layerCase(number: number): LayerCase {
  const stream = random(number, 'layer case')
  const floats = (shape: readonly number[], of: () => number = () => stream.normal()): HostTensor =>
    tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, of), shape)
  const [rows, inputs, outputs] = [stream.integer(1, 20), 4 * stream.integer(1, 12), 4 * stream.integer(1, 12)]
  const angles = Array.from({ length: (rows * inputs) / 2 }, () => 3 * stream.normal())
  const tableOf = (of: (angle: number) => number): HostTensor => tensor(Float32Array.from(angles, of), [1, 1, rows, inputs / 2])
  return {
    rows,
    inputs,
    outputs,
    input: floats([1, 2, rows, inputs]),
    weight: floats([outputs, inputs]),
    bias: floats([outputs]),
    scale: floats([inputs]),
    cos: tableOf(Math.cos),
    sin: tableOf(Math.sin),
  }
}

/** What the operations make of a case, row-major. */
export interface LayerResults {
  readonly multiplied: readonly number[]
  readonly normalised: readonly number[]
  readonly activated: readonly number[]
  readonly rotated: readonly number[]
  readonly codes: readonly number[]
  readonly scales: readonly number[]
}
