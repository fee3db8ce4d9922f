/** Matrix units of a device: for subgroups of any size between two, `m`×`k` times `k`×`n`, summed in float32. */
export interface MatrixUnit {
  readonly m: number
  readonly n: number
  readonly k: number
  /** What is multiplied. */
  readonly component: 'f16' | 'f32'
  readonly smallestSubgroup: number
  readonly largestSubgroup: number
}

export const matrixGroupSize = 128

/** What a workgroup of `prefill-matrix` takes at a time. */
export const matrixTile = { rows: 32, keys: 32 } as const

/** Floats of the scores of a tile, or of an output matrix of each subgroup. */
export function scratchFloats({ m, n, smallestSubgroup }: MatrixUnit, valueDim: number): number {
  const { rows, keys } = matrixTile
  return Math.max(rows * keys, Math.min(matrixGroupSize / smallestSubgroup, (rows * valueDim) / (m * n)) * m * n)
}

/** Of workgroup memory. */
export function matrixBytes(unit: MatrixUnit, headDim: number, valueDim: number): number {
  const { rows, keys } = matrixTile
  const bytes = unit.component === 'f16' ? 2 : 4
  const staged = bytes * (rows * headDim + keys * Math.max(headDim, valueDim))
  return staged + 4 * (scratchFloats(unit, valueDim) + rows * keys + rows + 1)
}
