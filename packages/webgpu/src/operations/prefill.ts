import { isHostTensor, type AttentionProblem } from '@qkv/core'
import { problemBlockMap, type BlockMap } from '@qkv/core/block-map'
import type { DeviceProfile } from '../device-profile.ts'
import { prefill } from '../kernels/prefill.wgsl.ts'
import { strideParameters } from '../operands.ts'
import { tilingBytes, type Tiling } from '../snippets/tiles.wgsl.ts'
import type { Workspace } from '../workspace.ts'
import { attentionWork, bindProblem } from './bind-problem.ts'
import type { OutputTarget } from './output.ts'

/** The tiles for a problem, or none where one invocation per row is better: on software, and for few rows. */
export function chooseTiling(
  profile: DeviceProfile,
  { queryLength, group, headDim, valueDim }: AttentionProblem,
): Tiling | undefined {
  if (profile.software || queryLength * group < 16) return undefined
  const preferred = Math.max(headDim, valueDim) <= 64 ? profile.tilings.narrow : profile.tilings.wide
  return [preferred, smallest].find((tiling) => tilingBytes(tiling) <= profile.workgroupBytes)
}

/** Fits the 16 KiB that every device has. */
const smallest: Tiling = { rowGroups: 8, columns: 8, depth: 32 }

export function runPrefill(
  workspace: Workspace,
  problem: AttentionProblem,
  tile: Tiling,
  { access, output }: OutputTarget,
  lse: GPUBufferBinding,
): void {
  const { recorder, profile } = workspace
  const walk = walkTiles(problem, 4 * tile.rowGroups, 4 * tile.columns)
  const bound = bindProblem(workspace, problem, walk.map)
  const spec = {
    problem: bound.spec,
    output: access,
    tile,
    subgroups: profile.subgroupSize >= tile.columns,
    blockMap: walk.map !== undefined,
  }
  recorder.dispatch(prefill, spec, {
    parameters: { ...noBlockMap, ...bound.parameters, ...strideParameters('output', output), ...walk.parameters },
    buffers: { ...bound.buffers, output: output.binding, lse },
    groups: walk.groups,
    work: attentionWork(problem),
  })
}

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
