import type { BenchCase } from '../cases/case.ts'
import type { Contestant, PeerSettings } from '../peers/peer.ts'
import { attentionSamples } from './exact/attention.ts'
import { gradientSamples } from './exact/gradient.ts'
import { linearSamples } from './exact/linear.ts'
import type { Sample } from './exact/sample.ts'
import { sequenceSamples } from './exact/sequence.ts'
import { writtenSamples } from './exact/writing.ts'

/** How a result compares with the float64 reference at the places that were looked at. */
export interface Agreement {
  /** Largest error over the reference's bound: at most 1 for a correct float32 kernel. `null` where no bound is derived. */
  readonly ofBound: number | null
  /** Largest error over the largest result. */
  readonly relative: number
  /** False where something else was computed, not merely less exactly: an error beyond a thousandth. */
  readonly right: boolean
}

const wrongBeyond = 1e-3

/** What besides the case decides what is right. */
export interface CheckContext {
  readonly layer?: Contestant['layer']
  readonly model?: PeerSettings['model']
}

/** Compares a contestant's result, in the order {@link Contestant.result} gives, with float64 at sampled places. */
export function checkResult(bench: BenchCase, result: Float32Array, { layer, model }: CheckContext = {}): Agreement {
  switch (bench.kind) {
    case 'attention':
      return agreement(bench.gradient ? gradientSamples(bench, result) : attentionSamples(bench, result))
    case 'linear':
      return agreement(linearSamples(bench, result))
    case 'sequence':
      return agreement(sequenceSamples(bench, result, layer ?? 'attention'))
    case 'writing':
      return agreement(writtenSamples(bench, result, model))
  }
}

function agreement(samples: Iterable<Sample>): Agreement {
  let ofBound: number | null = 0
  let error = 0
  let largest = 0
  for (const { actual, exact, bound } of samples) {
    const off = Number.isNaN(actual) ? Infinity : Math.abs(actual - exact)
    if (bound === undefined) ofBound = null
    else if (off > 0 && ofBound !== null) ofBound = Math.max(ofBound, off / bound)
    error = Math.max(error, off)
    largest = Math.max(largest, Math.abs(exact))
  }
  const relative = error === 0 ? 0 : error / largest
  return { ofBound, relative, right: relative <= wrongBeyond }
}
