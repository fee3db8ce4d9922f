import { decoder, dropoutHash, dropoutThreshold, type HostTensor } from '@qkv/core'
import { compileExpression } from '@qkv/core/expression'
import type { HostProblem } from './host-problem.ts'

/** A pair of a query and a key: query row `row` stands at `position` among the keys. */
export type PairRule = (batch: number, head: number, row: number, position: number, key: number) => boolean

/** What becomes of the score of a pair that no mask hides. */
export type ScoreChange = (batch: number, head: number, row: number, position: number, key: number, score: number) => number

/** A problem's options that concern single pairs, compiled once; calls allocate nothing. Undefined where there is nothing to do. */
export interface ScoreRule {
  /** Whether mask tensor or mask expression hide the pair. */
  readonly hides: PairRule | undefined
  /** Scaled product to final score: softcap, bias, score expression. −∞ stays −∞, which hides the pair. */
  readonly change: ScoreChange | undefined
  /** Whether dropout drops the pair's weight. */
  readonly drops: PairRule | undefined
  /** What the weights that stay are multiplied by. */
  readonly keptWeight: number
}

export function scoreRule(problem: HostProblem): ScoreRule {
  const { dropout } = problem
  return {
    hides: hiding(problem),
    change: changing(problem),
    drops: dropout && dropping(dropout.seed, dropoutThreshold(dropout)),
    keptWeight: dropout === undefined ? 1 : 1 / (1 - dropout.probability),
  }
}

function hiding({ mask, maskMod }: HostProblem): PairRule | undefined {
  const shows = mask && elementReader(mask)
  const allows = maskMod && compileExpression(maskMod.node)
  if (shows === undefined)
    return allows && ((batch, head, row, position, key) => allows(batch, head, position, key, row, NaN) === 0)
  if (allows === undefined) return (batch, head, row, _position, key) => shows(batch, head, row, key) === 0
  return (batch, head, row, position, key) =>
    shows(batch, head, row, key) === 0 || allows(batch, head, position, key, row, NaN) === 0
}

function changing({ softcap, bias: biases, scoreMod }: HostProblem): ScoreChange | undefined {
  if (softcap === 0 && biases === undefined && scoreMod === undefined) return undefined
  const added = biases && elementReader(biases)
  const modified = scoreMod && compileExpression(scoreMod.node)
  return (batch, head, row, position, key, score) => {
    const capped = softcap === 0 ? score : softcap * Math.tanh(score / softcap)
    const bias = added === undefined ? 0 : added(batch, head, row, key)
    // It hides the pair whatever the score is: NaN − ∞ would not.
    const biased = bias === -Infinity ? -Infinity : capped + bias
    return modified === undefined || biased === -Infinity ? biased : modified(batch, head, position, key, row, biased)
  }
}

function dropping(seed: number, threshold: number): PairRule {
  return (batch, head, row, _position, key) => dropoutHash(seed, batch, head, row, key) < threshold
}

/** Reads [batch, head, row, key], where the tensor lies and however it repeats. */
export function elementReader({ storage, offset, strides, dtype }: HostTensor) {
  const [byBatch, byHead, byRow, byKey] = strides as [number, number, number, number]
  const decode = decoder(dtype)
  return (batch: number, head: number, row: number, key: number): number =>
    decode(storage[offset + batch * byBatch + head * byHead + row * byRow + key * byKey]!)
}
