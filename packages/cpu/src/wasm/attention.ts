import type { AttentionProblem } from '@qkv/core'
import type { AttentionTarget, Run } from '../engine.ts'
import type { Workspace } from '../memory/workspace.ts'
import type { Wasm } from './instance.ts'
import { problemRecord } from './problem.ts'
import * as part from './record.ts'

/** Attention as units of work, one query tile each. */
export function attention(wasm: Wasm, space: Workspace, problem: AttentionProblem, target: AttentionTarget): Run | undefined {
  const { batch, keyHeads, queryLength, group } = problem
  if (problem.scoreMod || problem.maskMod) return undefined
  const tileRows = chooseTileRows(problem, wasm.crew.threads)
  const tiles = Math.ceil((queryLength * group) / tileRows)
  const record = problemRecord(space, problem)
  record.setTensor(part.output, space.place(target.output))
  record.setInt(part.lse, target.lse ? space.place(target.lse).address : 0)
  record.setInt(part.tileRows, tileRows)
  record.setInt(part.tiles, tiles)
  const scratchBytes = wasm.crew.scratchBytes('prefill', record.address)
  const scratch = space.scratch(scratchBytes * wasm.crew.threads)
  return {
    units: batch * keyHeads * tiles,
    run: (first, end) => wasm.crew.run({ kernel: 'prefill', record: record.address, first, end, scratch, scratchBytes }),
  }
}

/** Large tiles pack keys and values less often; every thread should still get several. The results are the same bits. */
function chooseTileRows({ batch, keyHeads, queryLength, group }: AttentionProblem, threads: number): number {
  const rows = queryLength * group
  let tileRows = 128
  while (tileRows > 8 && (tileRows / 2 >= rows || (threads > 1 && tileRows > 32 && batch * keyHeads * Math.ceil(rows / tileRows) < 4 * threads))) tileRows /= 2
  return tileRows
}
