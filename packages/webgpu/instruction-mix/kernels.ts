import { decode } from '../src/kernels/decode.wgsl.ts'
import { gradientKeyValue } from '../src/kernels/gradient-key-value.wgsl.ts'
import { gradientQuery } from '../src/kernels/gradient-query.wgsl.ts'
import { linear } from '../src/kernels/linear.wgsl.ts'
import { prefill } from '../src/kernels/prefill.wgsl.ts'
import { plainProblem, tiles } from '../test/support/specs.ts'
import type { Work } from './figures.ts'

/** A shader that is measured, and what its algorithm asks of an invocation each time around its key loop. */
export interface Measured {
  readonly name: string
  readonly kernel: 'prefill' | 'gradient-query' | 'gradient-key-value' | 'linear' | 'decode'
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
  const tile = tiles[headDim]
  // Sixteen pairs of a patch; each of the products q·k and p·v, and each of the gradient's, is headDim long.
  const products = (count: number): number => 16 * headDim * count
  // A loop over the eight chunks of a filling of 64 elements, or over its eight groups of keys; around it one over fillings.
  const filling = headDim === 64 ? [8] : [2, 8]
  const gradient = { problem, dOutput: access, slopeCode: undefined, tile } as const
  const shaders: Omit<Measured, 'name'>[] = [
    {
      kernel: 'prefill',
      code: prefill.code({ problem, output: access, tile, subgroups: true, blockMap: false }),
      work: { trips: [...filling, ...filling], multiplyAdds: products(2) },
    },
    {
      kernel: 'gradient-query',
      code: gradientQuery.code({ ...gradient, blockMap: false }),
      work: { trips: [...filling, ...filling, ...filling], multiplyAdds: products(3) },
    },
    {
      kernel: 'gradient-key-value',
      code: gradientKeyValue.code(gradient),
      work: { trips: [...filling, ...filling, ...filling, ...filling], multiplyAdds: products(4) },
    },
    {
      kernel: 'linear',
      code: linear.code({
        whole: true,
        input: access,
        weight: access,
        bias: dtype,
        output: access,
      }),
      // Of what is staged at a time, 32 elements of each vector, the compiler unrolls the loop.
      work: { trips: [], multiplyAdds: 16 * 32 },
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
