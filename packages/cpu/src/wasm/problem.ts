import { dropoutThreshold, toFloat32, toFloat64, type AttentionProblem } from '@qkv/core'
import { hostView } from '../memory/storage.ts'
import type { Placed, Workspace } from '../memory/workspace.ts'
import { Draft } from './draft.ts'
import { placeProgram } from './expression.ts'
import { placeVector } from './place.ts'
import * as part from './record.ts'
import { placeTileMap } from './tile-map.ts'

/** Larger than any length, and small enough to be added to one. */
const unbounded = 2 ** 29

/**
 * Places a problem's tensors and expressions and describes it for the kernels. Results are the caller's to add,
 * as are programs of its own, which need `registerBytes`.
 */
export function problemRecord(space: Workspace, problem: AttentionProblem, registerBytes = 0): Draft {
  const { query, key, value, bias, mask, keyScales, valueScales, sinks, lengths, window, causal, dropout, scoreMod, maskMod } =
    problem
  const quantized = keyScales !== undefined
  const tensors: readonly (readonly [number, Placed | undefined])[] = [
    [part.query, space.place(query)],
    [part.key, space.place(key)],
    [part.value, space.place(value)],
    [part.bias, bias && space.place(bias)],
    [part.mask, mask && space.place(mask)],
    [part.keyScales, keyScales && space.place(keyScales)],
    [part.valueScales, valueScales && space.place(valueScales)],
  ]
  const scoreProgram = scoreMod && placeProgram(space, scoreMod.node)
  const maskProgram = maskMod && placeProgram(space, maskMod.node)
  const tileMap = placeTileMap(space, problem)
  const sinksAt = sinks && placeVector(space, toFloat32(hostView(sinks)))
  const lengthsAt = lengths && placeVector(space, Int32Array.from(toFloat64(hostView(lengths))))

  const record = new Draft(part.recordBytes)
  for (const [at, placed] of tensors) if (placed !== undefined) record.setTensor(at, placed, quantized)
  record.setInt(part.sinks, sinksAt ?? 0)
  record.setInt(part.lengths, lengthsAt ?? 0)
  record.setInt(part.batch, problem.batch)
  record.setInt(part.queryHeads, problem.queryHeads)
  record.setInt(part.keyHeads, problem.keyHeads)
  record.setInt(part.group, problem.group)
  record.setInt(part.queryLength, problem.queryLength)
  record.setInt(part.keyLength, problem.keyLength)
  record.setInt(part.headDim, problem.headDim)
  record.setInt(part.valueDim, problem.valueDim)
  record.setInt(part.keyGroupSize, problem.headDim / (keyScales?.shape[3] ?? 1))
  record.setInt(part.valueGroupSize, problem.valueDim / (valueScales?.shape[3] ?? 1))
  record.setInt(part.upperLeft, problem.alignment === 'upper-left' ? 1 : 0)
  record.setInt(part.windowLeft, Math.min(window.left, unbounded))
  record.setInt(part.windowRight, Math.min(causal ? Math.min(0, window.right) : window.right, unbounded))
  record.setInt(part.dropoutThreshold, dropout ? dropoutThreshold(dropout) : 0)
  record.setInt(part.dropoutSeed, dropout?.seed ?? 0)

  record.setInt(part.scoreProgram, scoreProgram?.address ?? 0)
  record.setInt(part.maskProgram, maskProgram?.address ?? 0)
  record.setInt(part.tileMap, tileMap?.map ?? 0)
  record.setInt(part.planes, tileMap?.planes ?? 0)
  record.setInt(part.registerBytes, Math.max(registerBytes, scoreProgram?.registerBytes ?? 0, maskProgram?.registerBytes ?? 0))

  record.setDouble(part.scale, problem.scale)
  record.setFloat(part.softcap, problem.softcap)
  record.setFloat(part.dropoutScale, 1 / (1 - (dropout?.probability ?? 0)))
  return record
}
