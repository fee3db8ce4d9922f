import { isContiguous, toFloat32, type AttentionGradient, type AttentionProblem, type Partial, type Tensor } from '@qkv/core'
import { differentiate } from '@qkv/core/expression'
import { hostView } from '../memory/storage.ts'
import type { Workspace } from '../memory/workspace.ts'
import { attentionWork, chooseTileRows } from './attention.ts'
import { placeSlope, placeSums } from './gradient-sums.ts'
import type { Wasm } from './instance.ts'
import { problemRecord } from './problem.ts'
import * as part from './record.ts'

/** The gradient in two passes of kernels, and one more for the bias and for each tensor that the score expression reads. */
export function attentionGradient(
  wasm: Wasm,
  space: Workspace,
  problem: AttentionProblem,
  forward: Partial,
  dOutput: Tensor,
  target: AttentionGradient,
): boolean {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, group, scoreMod } = problem
  const { lse } = forward
  if (lse.dtype !== 'float32' || !isContiguous(lse)) return false

  const lseAt = space.place(lse).address
  const tensors = [
    [part.dOutput, space.place(dOutput)],
    [part.forwardOutput, space.place(forward.output)],
    [part.output, space.place(target.dQuery)],
  ] as const
  const outputProducts = space.scratch(4 * batch * queryHeads * queryLength)
  const slope = scoreMod && placeSlope(space, differentiate(scoreMod).score)
  const sums = placeSums(space, problem, target)
  const registerBytes = Math.max(slope?.registerBytes ?? 0, ...sums.map((each) => each.registerBytes))
  const draft = problemRecord(space, problem, registerBytes)
  for (const [at, placed] of tensors) draft.setTensor(at, placed)
  draft.setInt(part.lse, lseAt)
  draft.setInt(part.partials, outputProducts)
  draft.setInt(part.slopeProgram, slope?.address ?? 0)
  draft.setInt(part.dKey, space.place(target.dKey).address)
  draft.setInt(part.dValue, space.place(target.dValue).address)
  const tileRows = chooseTileRows(problem, wasm.crew.threads)
  const tiles = Math.ceil((queryLength * group) / tileRows)
  draft.setInt(part.tileRows, tileRows)
  draft.setInt(part.tiles, tiles)

  const record = draft.place(space)
  const passes: Pass[] = [
    { kernel: 'gradientRows', record, units: batch * queryHeads },
    { kernel: 'gradientQueries', record, units: batch * keyHeads * tiles },
    { kernel: 'gradientKeys', record, units: batch * keyHeads * Math.ceil(keyLength / part.tileKeys) },
  ]
  for (const { units, describe } of sums) {
    describe(draft)
    passes.push({ kernel: 'gradientSums', record: draft.place(space), units })
  }
  runInTurn(wasm, space, passes, attentionWork(problem))
  for (const { finish } of sums) finish()
  if (target.dSinks !== undefined) sinkGradients(space, problem, lseAt, outputProducts, target.dSinks)
  return true
}

interface Pass {
  readonly kernel: string
  readonly record: number
  readonly units: number
}

/** In the same scratch memory: they never run at once. */
function runInTurn({ crew }: Wasm, space: Workspace, passes: readonly Pass[], work: number): void {
  const scratchBytes = Math.max(...passes.map(({ kernel, record }) => crew.scratchBytes(kernel, record)))
  const scratch = space.scratch(scratchBytes * crew.threads)
  for (const { kernel, record, units } of passes) crew.run({ kernel, record, scratch, scratchBytes, work }, 0, units)
}

/** A sink's weight has no value, so it only takes: dsink = Σ −e^(sink − lse) · D over the rows of its head. */
function sinkGradients(
  space: Workspace,
  { sinks, batch, queryHeads, queryLength }: AttentionProblem,
  lseAt: number,
  outputProducts: number,
  dSinks: Tensor,
): void {
  if (sinks === undefined) return
  const count = batch * queryHeads * queryLength
  const logits = toFloat32(hostView(sinks))
  const lse = new Float32Array(space.arena.memory.buffer, lseAt, count)
  const products = new Float32Array(space.arena.memory.buffer, outputProducts, count)
  const { storage, offset } = hostView(dSinks)
  for (let head = 0; head < queryHeads; head++) {
    const sink = logits[head] ?? -Infinity
    let sum = 0
    for (let entry = 0; entry < batch && sink !== -Infinity; entry++) {
      const first = (entry * queryHeads + head) * queryLength
      for (let row = first; row < first + queryLength; row++) sum -= Math.exp(sink - lse[row]!) * products[row]!
    }
    storage[offset + head] = sum
  }
}
