import { largePatches, smallPatches } from '../../src/device-profile.ts'
import type { PrefillSpec } from '../../src/kernels/prefill.wgsl.ts'
import type { Access } from '../../src/snippets/elements.wgsl.ts'
import type { ProblemSpec } from '../../src/snippets/problem.wgsl.ts'
import type { Tiling } from '../../src/snippets/tiling.ts'

/** Plain attention over float32 rows that lie without gaps: what goldens and instruction counts are of. */
export function plainProblem(headDim: number, dtype: 'float32' | 'float16' = 'float32'): ProblemSpec {
  const access: Access<'float32' | 'float16'> = { dtype, vectors: true }
  return {
    headDim,
    valueDim: headDim,
    query: access,
    key: access,
    value: access,
    bias: undefined,
    softcap: false,
    sinks: false,
    lengths: false,
    mask: false,
    dropout: false,
    scoreCode: undefined,
    maskCode: undefined,
    captureRanks: [],
    scalarTypes: [],
  }
}

export function plainPrefill(headDim: number, tile: Tiling): PrefillSpec {
  return { problem: plainProblem(headDim), output: { dtype: 'float32', vectors: true }, tile, subgroups: true, blockMap: false }
}

/** The tiles that devices with 32 KiB of workgroup memory get, with as many registers as AMD's, or half of them. */
export const tiles: { readonly 64: Tiling; readonly 128: Tiling } = { 64: largePatches.narrow, 128: largePatches.wide }
export const smallTiles: { readonly 64: Tiling; readonly 128: Tiling } = { 64: smallPatches.narrow, 128: smallPatches.wide }
