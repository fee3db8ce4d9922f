import { tensor, toFloat64, type HostTensor } from '@qkv/core'
import { checkCount, checkOneOf, checkTable, refused } from '../refuse.ts'

export interface ResizeOptions {
  /** How the table's rows lie: [length], or [height, width] for patches numbered row by row. */
  readonly from: readonly number[]
  /** As many sizes. */
  readonly to: readonly number[]
  /** Rows before them that stay, as a class token's. Default 0. */
  readonly leading?: number | undefined
  /** `linear`, or `cubic` (the default, what ViTs use; Keys' kernel with a = −0.75, as in PyTorch). */
  readonly method?: 'linear' | 'cubic' | undefined
}

/**
 * A learned table for other lengths: between its vectors along each axis, whose ends stay put (samples lie at the middles
 * of equal parts of the axis; beyond the first and last, those are repeated). Dosovitskiy et al. 2020, arXiv:2010.11929,
 * section 3.2; as PyTorch's `interpolate(…, align_corners=False)`.
 *
 * @param table [leading + product of `from`, dim]
 */
export function resizeTable(table: HostTensor, { from, to, leading = 0, method = 'cubic' }: ResizeOptions): HostTensor {
  const operation = 'resizeTable'
  checkCount(operation, 'leading', leading, 0)
  from.forEach((size, axis) => checkCount(operation, `from[${axis}]`, size))
  to.forEach((size, axis) => checkCount(operation, `to[${axis}]`, size))
  if (to.length !== from.length) throw refused(operation, 'to', `${from.length} sizes, as \`from\``, to)
  checkOneOf(operation, 'method', method, Object.keys(kernels))
  const [, dim = 0] = checkTable(operation, 'table', table, [leading + product(from), 'dim'])

  const values = toFloat64(table)
  const sizes = [...from]
  let grid = values.subarray(leading * dim)
  to.forEach((size, axis) => {
    grid = resizeAxis(grid, sizes, axis, size, dim, kernels[method])
    sizes[axis] = size
  })
  const resized = new Float32Array(leading * dim + grid.length)
  resized.set(values.subarray(0, leading * dim))
  resized.set(grid, leading * dim)
  return tensor(resized, [leading + product(to), dim])
}

interface Kernel {
  /** The first sample's number, counted from the one before the point. */
  readonly first: number
  /** Of the samples around a point that lies `t` after the one before it. */
  weights(t: number): readonly number[]
}

const kernels: Readonly<Record<'linear' | 'cubic', Kernel>> = {
  linear: { first: 0, weights: (t) => [1 - t, t] },
  cubic: { first: -1, weights: (t) => [outer(1 + t), inner(t), inner(1 - t), outer(2 - t)] },
}

const a = -0.75

/** Keys' kernel within one sample's distance, and between one and two. */
function inner(x: number): number {
  return ((a + 2) * x - (a + 3)) * x * x + 1
}

function outer(x: number): number {
  return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
}

function resizeAxis(
  grid: Float64Array,
  sizes: readonly number[],
  axis: number,
  size: number,
  dim: number,
  kernel: Kernel,
): Float64Array {
  const old = sizes[axis]!
  const width = product(sizes.slice(axis + 1)) * dim
  const blocks = grid.length / (old * width)
  const resized = new Float64Array(blocks * size * width)
  for (let i = 0; i < size; i++) {
    const point = ((i + 0.5) * old) / size - 0.5
    const before = Math.floor(point)
    kernel.weights(point - before).forEach((weight, k) => {
      const sample = Math.min(old - 1, Math.max(0, before + kernel.first + k))
      for (let block = 0; block < blocks; block++) {
        for (let c = 0; c < width; c++) {
          resized[(block * size + i) * width + c]! += weight * grid[(block * old + sample) * width + c]!
        }
      }
    })
  }
  return resized
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total * size, 1)
}
