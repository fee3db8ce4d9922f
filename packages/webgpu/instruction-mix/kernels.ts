import { decode } from '../src/kernels/decode.wgsl.ts'
import { gradientKeyValue } from '../src/kernels/gradient-key-value.wgsl.ts'
import { gradientQuery } from '../src/kernels/gradient-query.wgsl.ts'
import { linear } from '../src/kernels/linear.wgsl.ts'
import { prefill } from '../src/kernels/prefill.wgsl.ts'
import type { Tiling } from '../src/snippets/tiling.ts'
import { plainProblem, smallTiles, tiles } from '../test/support/specs.ts'
import type { Work } from './figures.ts'

/** A shader that is measured, and what its algorithm asks of an invocation each time around its key loop. */
export interface Measured {
  readonly name: string
  readonly kernel: 'prefill' | 'prefill-small' | 'gradient-query' | 'gradient-key-value' | 'linear' | 'decode'
  readonly code: string
  readonly work: Work
}

/** Plain attention over rows that lie without gaps, for a device with 32 KiB of workgroup memory and subgroups. */
export function measuredKernels(): Measured[] {
  return (['float32', 'float16'] as const).flatMap((dtype) => ([64, 128] as const).flatMap((headDim) => kernelsOf(headDim, dtype)))
}

function kernelsOf(headDim: 64 | 128, dtype: 'float32' | 'float16'): Measured[] {
  const access = { dtype, vectors: true } as const
  const problem = plainProblem(headDim, dtype)
  const gradient = { problem, dOutput: access, slopeCode: undefined, tile: smallTiles[headDim] } as const
  const rows = fillings(headDim / smallTiles[headDim].depth)
  const columns = fillings(headDim / 64)
  const prefillIn = (tile: Tiling): Pick<Measured, 'code' | 'work'> => ({
    code: prefill.code({ problem, output: access, tile, subgroups: true, blockMap: false }),
    work: {
      // Weights are taken in four columns of each patch at a time.
      trips: [...fillings(headDim / tile.depth), ...Array.from({ length: tile.patch / 4 }, () => columns).flat()],
      multiplyAdds: tile.patch ** 2 * headDim * 2,
    },
  })
  const shaders: Omit<Measured, 'name'>[] = [
    { kernel: 'prefill', ...prefillIn(tiles[headDim]) },
    { kernel: 'prefill-small', ...prefillIn(smallTiles[headDim]) },
    {
      kernel: 'gradient-query',
      code: gradientQuery.code({ ...gradient, blockMap: false }),
      work: { trips: [...rows, ...rows, ...columns], multiplyAdds: 16 * headDim * 3 },
    },
    {
      kernel: 'gradient-key-value',
      code: gradientKeyValue.code(gradient),
      work: { trips: [...rows, ...rows, ...columns, ...columns], multiplyAdds: 16 * headDim * 4 },
    },
    {
      kernel: 'linear',
      code: linear.code({ whole: true, input: access, weight: access, bias: dtype, output: access }),
      // A patch of eight by four, and 32 elements of each vector.
      work: { trips: fillings(1), multiplyAdds: 8 * 4 * 32 },
    },
    {
      kernel: 'decode',
      code: decode.code({ problem, output: access, rows: 4, lanes: 16, subgroups: true, counted: false }),
      // Four rows, and of each key a sixteenth of its elements.
      work: { trips: [], multiplyAdds: (4 * 2 * headDim) / 16 },
    },
  ]
  return shaders.map((shader) => ({ ...shader, name: `${shader.kernel}-${headDim}-${dtype}` }))
}

/** Trips of a product loop, over the four chunks or groups that lie side by side, and of the loop over fillings around it. */
function fillings(count: number): number[] {
  return count === 1 ? [4] : [count, 4]
}
