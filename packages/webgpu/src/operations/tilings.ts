import { isHostTensor, type AttentionProblem } from '@qkv/core'
import { problemBlockMap, type BlockMap } from '@qkv/core/block-map'
import { smallPatches, type DeviceProfile } from '../device-profile.ts'
import { fit, prefillTiles, tilesOf, type Tiling } from '../snippets/tiling.ts'

/** The tiles for a problem, or none where one invocation per row is better, on software and for few rows, and where none fit. */
export function chooseTiling(profile: DeviceProfile, problem: AttentionProblem): Tiling | undefined {
  if (isForRows(profile, problem)) return undefined
  const width = Math.max(problem.headDim, problem.valueDim)
  const { narrow, wide } = profile.tilings
  const preferred = width <= 64 ? narrow : width <= 128 ? wide : smallPatches.wide
  return [preferred, smallestTiling].find((tiling) => fit(prefillTiles(tiling, problem.headDim), profile.workgroupBytes, width))
}

/** The same for a problem's gradients. */
export function chooseGradientTiling(profile: DeviceProfile, problem: AttentionProblem): Tiling | undefined {
  if (isForRows(profile, problem)) return undefined
  const width = Math.max(problem.headDim, problem.valueDim)
  const preferred = width <= 64 ? smallPatches.narrow : smallPatches.wide
  return [preferred, smallestTiling].find((tiling) => fit(tilesOf(tiling), profile.workgroupBytes, width))
}

function isForRows({ software }: DeviceProfile, { queryLength, group }: AttentionProblem): boolean {
  return software || queryLength * group < 16
}

/** Fits the 16 KiB that every device has. */
export const smallestTiling: Tiling = { rowGroups: 8, columns: 8, depth: 32, patch: 4 }

/** How a problem's rows are dealt to workgroups; see `tile-walk.wgsl`. */
export interface TileWalk {
  readonly map: BlockMap | undefined
  readonly groups: number
  readonly parameters: { readonly tiles: number; readonly packed: number }
}

/**
 * Tiles of rows of one head each; of all heads that share a key head where one head has too few to fill a tile. With a block map
 * by tiles of `keys`, where there is something to leave out.
 */
export function walkTiles(problem: AttentionProblem, rows: number, keys?: number): TileWalk {
  const { batch, queryHeads, queryLength, group } = problem
  const packed = queryLength < rows ? group : 1
  const tiles = Math.ceil((queryLength * packed) / rows)
  return {
    map: packed === 1 && keys !== undefined ? tileMap(problem, rows, keys) : undefined,
    groups: tiles * batch * (queryHeads / packed),
    parameters: { tiles, packed },
  }
}

export const noBlockMap = { planesAt: 0, runOffsetsAt: 0, runsAt: 0 } as const

/** Which tiles a mask leaves, where the mask is known here; without a mask the kernel knows as much itself. */
function tileMap(problem: AttentionProblem, queries: number, keys: number): BlockMap | undefined {
  const { mask, maskMod, lengths, keyLength } = problem
  if ((mask === undefined && maskMod === undefined) || keyLength <= keys) return undefined
  if ((mask && !isHostTensor(mask)) || (lengths && !isHostTensor(lengths))) return undefined
  return problemBlockMap(problem, { queries, keys })
}
