import { dropoutThreshold, toFloat32, toFloat64, type AttentionProblem } from '@qkv/core'
import { hostView } from '../memory/storage.ts'
import type { Workspace } from '../memory/workspace.ts'
import { Draft } from './draft.ts'
import { placeProgram } from './expression.ts'
import { placeVector } from './place.ts'
import * as part from './record.ts'
import { placeTileMap } from './tile-map.ts'

const problemDraft = /* @__PURE__ */ new Draft(part.recordBytes)

/** Larger than any length, and small enough to be added to one. */
const unbounded = 2 ** 29

/**
 * Places a problem's tensors and expressions and describes it for the kernels. Results are the caller's to add,
 * as are programs of its own, which need `registerBytes`.
 */
export function problemRecord(space: Workspace, problem: AttentionProblem, registerBytes = 0): Draft {
  const { bias, mask, keyScales, valueScales, sinks, lengths, window, causal, dropout, scoreMod, maskMod } = problem
  const quantized = keyScales !== undefined
  const record = problemDraft.begin()
  record.setTensor(part.query, space.place(problem.query))
  record.setTensor(part.key, space.place(problem.key), quantized)
  record.setTensor(part.value, space.place(problem.value), quantized)
  if (bias !== undefined) record.setTensor(part.bias, space.place(bias))
  if (mask !== undefined) record.setTensor(part.mask, space.place(mask))
  if (keyScales !== undefined) record.setTensor(part.keyScales, space.place(keyScales))
  if (valueScales !== undefined) record.setTensor(part.valueScales, space.place(valueScales))
  if (sinks !== undefined) record.setInt(part.sinks, placeVector(space, toFloat32(hostView(sinks))))
  if (lengths !== undefined) record.setInt(part.lengths, placeVector(space, Int32Array.from(toFloat64(hostView(lengths)))))

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
  if (dropout !== undefined) {
    record.setInt(part.dropoutThreshold, dropoutThreshold(dropout))
    record.setInt(part.dropoutSeed, dropout.seed)
    record.setFloat(part.dropoutScale, 1 / (1 - dropout.probability))
  }

  const scoreProgram = scoreMod && placeProgram(space, scoreMod.node)
  const maskProgram = maskMod && placeProgram(space, maskMod.node)
  const tileMap = placeTileMap(space, problem)
  record.setInt(part.scoreProgram, scoreProgram?.address ?? 0)
  record.setInt(part.maskProgram, maskProgram?.address ?? 0)
  record.setInt(part.tileMap, tileMap?.map ?? 0)
  record.setInt(part.planes, tileMap?.planes ?? 0)
  record.setInt(part.registerBytes, Math.max(registerBytes, scoreProgram?.registerBytes ?? 0, maskProgram?.registerBytes ?? 0))

  record.setDouble(part.scale, problem.scale)
  record.setFloat(part.softcap, problem.softcap)
  return record
}
