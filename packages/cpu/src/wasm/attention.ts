import type { AttentionProblem } from '@qkv/core'
import type { AttentionTarget, Run } from '../engine.ts'
import type { Workspace } from '../memory/workspace.ts'
import type { Draft } from './draft.ts'
import { taskOf, type Wasm } from './instance.ts'
import { problemRecord } from './problem.ts'
import * as part from './record.ts'

/** Attention as units of work: a query tile each, or where there are few rows, a split of the keys each. */
export function attention(
  wasm: Wasm,
  space: Workspace,
  problem: AttentionProblem,
  target: AttentionTarget,
  mostWork: number,
): Run | undefined {
  const draft = problemRecord(space, problem)
  draft.setTensor(part.output, space.place(target.output))
  draft.setInt(part.lse, target.lse ? space.place(target.lse).address : 0)
  return suitsDecode(problem) ? decode(wasm, space, problem, draft) : prefill(wasm, space, problem, draft, mostWork)
}

/**
 * Rows that fit one panel. A nearly full one takes less by prefill's products, but for stored halves and where there are splits
 * of the keys for threads to share.
 */
function suitsDecode({ queryLength, group, keyLength, key, value }: AttentionProblem): boolean {
  const rows = queryLength * group
  const few = rows <= part.panelRows - 2 || key.dtype !== 'float32' || value.dtype !== 'float32' || keyLength > splitKeys
  return rows <= part.panelRows && few
}

function prefill(wasm: Wasm, space: Workspace, problem: AttentionProblem, draft: Draft, mostWork: number): Run {
  const { crew } = wasm
  const { batch, keyHeads, queryLength, group } = problem
  const tileRows = chooseTileRows(problem, crew.threads, mostWork)
  const tiles = Math.ceil((queryLength * group) / tileRows)
  draft.setInt(part.tileRows, tileRows)
  draft.setInt(part.tiles, tiles)
  const task = taskOf(wasm, space, 'prefill', draft.place(space), attentionWork(problem))
  return { units: batch * keyHeads * tiles, grain: crew.threads, run: (first, end) => crew.run(task, first, end) }
}

/**
 * Large tiles pack keys and values less often; every thread should still get several, none too large for those who wait.
 * The results are the same bits.
 */
export function chooseTileRows(problem: AttentionProblem, threads: number, mostWork: number = Infinity): number {
  const { batch, keyHeads, queryLength, group, keyLength, headDim, valueDim } = problem
  const rows = queryLength * group
  const workOf = (tileRows: number): number => tileRows * keyLength * (headDim + valueDim)
  const tilesEach = (tileRows: number): number => (batch * keyHeads * Math.ceil(rows / tileRows)) / threads
  let tileRows = 256
  while (tileRows > 8 && tileRows / 2 >= rows) tileRows /= 2
  while (tileRows > 32 && threads > 1 && tilesEach(tileRows) < 4) tileRows /= 2
  while (tileRows > 32 && workOf(tileRows) > mostWork) tileRows /= 2
  return tileRows
}

/** Long enough that merging is little work, short enough for threads to share a sequence. The same for any of them. */
export const splitKeys = 512

function decode(wasm: Wasm, space: Workspace, problem: AttentionProblem, draft: Draft): Run {
  const { crew } = wasm
  const { batch, keyHeads, keyLength, valueDim } = problem
  const splits = Math.max(1, Math.ceil(keyLength / splitKeys))
  const units = batch * keyHeads * splits
  draft.setInt(part.splitKeys, splitKeys)
  draft.setInt(part.splits, splits)
  if (splits > 1) draft.setInt(part.partials, space.scratch(units * partialBytes(valueDim)))
  const record = draft.place(space)
  const task = taskOf(wasm, space, 'decode', record, attentionWork(problem))
  return {
    units,
    grain: crew.threads,
    run(first, end) {
      crew.run(task, first, end)
      // In the same scratch memory: they never run at once.
      if (splits > 1 && end === units) crew.run({ ...task, kernel: 'mergeSplits' }, 0, batch * keyHeads)
    },
  }
}

/** Multiplications and additions, were no key hidden. */
export function attentionWork({ batch, queryHeads, queryLength, keyLength, headDim, valueDim }: AttentionProblem): number {
  return batch * queryHeads * queryLength * keyLength * (headDim + valueDim)
}

/** Maxima, sums and outputs of 8 rows. */
function partialBytes(valueDim: number): number {
  return 4 * 8 * (2 + Math.ceil(valueDim / 8) * 8)
}
