import {
  problem,
  reference,
  roundTo,
  slice,
  tensor,
  toFloat64,
  type Backend,
  type HostTensor,
  type ProblemOptions,
} from '@qkv/core'
import { describe, test } from 'vitest'
import { onnxAttentions, onnxFolder, onnxRotations, type OnnxAttention, type OnnxCache, type OnnxScores } from '../onnx-vectors.ts'
import { expectWithinBound } from '../within-bound.ts'
import { heldBackend, take, takeAttention, type Suite } from './suite.ts'

/**
 * The ONNX standard's vectors of `Attention` and `RotaryEmbedding`, all of them. They are exact but for the rounding of
 * what they store, so a result may differ by its own bound and that rounding.
 *
 * Their fourth output is the whole matrix of scores, which attention by tiles never has. It is expressed nevertheless,
 * in each of its modes: with the identity for values, outputs are the weights (mode 3), and a score is the logarithm of
 * its weight plus the row's lse (products, softcapped and masked scores: modes 0, 1 and 2, each from a problem that
 * goes no further). Two things cannot be expressed: a score that no float32 weight is left of, 87 or more below its
 * row's lse, and a hidden score's number, which here is −∞ and nothing else. No vector has either.
 */
export function onnxSuite(suite: Suite): void {
  describe.skipIf(onnxFolder === undefined)('ONNX vectors', () => {
    const backend = heldBackend(suite)

    describe('Attention', () => {
      for (const vector of onnxAttentions()) test(vector.name, () => checkAttention(suite, backend(), vector))
    })

    describe('RotaryEmbedding', () => {
      for (const { name, input, table, output } of onnxRotations()) {
        test(name, async () => {
          const values = toFloat64(output)
          // Two products and a sum, of numbers no larger than these.
          const largest = Math.max(...toFloat64(input).map(Math.abs))
          const bound = values.map((value) => 2 ** -24 * (4 * largest + Math.abs(value)))
          expectWithinBound(
            await take(backend(), backend().rotate(input, table)),
            { values, bound },
            { name: 'output', shape: output.shape, token: name },
          )
        })
      }
    })
  })
}

async function checkAttention({ platform = 'cpu' }: Suite, backend: Backend, vector: OnnxAttention): Promise<void> {
  const { name, query, key, value, options, output, cache, scores } = vector
  const asked = problem(query, key, value, options)
  const { bound } = reference(asked, { backend: platform })
  const values = toFloat64(output)
  const rounding = query.dtype === 'float16' ? 2 ** -11 : 2 ** -24
  const actual = await takeAttention(backend, asked)
  const allowed = bound.map((own, index) => own + rounding * Math.abs(values[index]!))
  expectWithinBound(
    actual.output,
    { values, bound: allowed },
    { name: 'output', shape: output.shape, token: name, backend: platform },
  )
  if (cache !== undefined) await checkCache(backend, cache, name)
  if (scores !== undefined) await checkScores(platform, backend, vector, scores)
}

/** What `present` holds is the past with the new keys and values copied in behind it. */
async function checkCache(backend: Backend, { past, added, present }: OnnxCache, name: string): Promise<void> {
  for (const part of ['key', 'value'] as const) {
    const held = backend.empty(present[part].shape, present[part].dtype)
    const [behind, end] = [past[part].shape[2]!, present[part].shape[2]!]
    backend.copy(past[part], slice(held, 2, 0, behind))
    backend.copy(added[part], slice(held, 2, behind, end))
    const values = toFloat64(present[part])
    const exactly = { values, bound: new Float64Array(values.length) }
    expectWithinBound(await take(backend, held), exactly, { name: `present ${part}`, shape: present[part].shape, token: name })
  }
}

async function checkScores(
  platform: NonNullable<Suite['platform']>,
  backend: Backend,
  vector: OnnxAttention,
  scores: OnnxScores,
): Promise<void> {
  const { name, query, key } = vector
  const asked = problem(query, key, identityFor(key), optionsUpTo(scores, vector.options))
  const { output: weights, bound, lse, lseBound } = reference(asked, { backend: platform })
  const actual = await takeAttention(backend, asked)
  const values = toFloat64(scores.values)
  const comparison = { name: scores.stage, shape: scores.values.shape, token: name, backend: platform }
  const rounding = values.map((score) => 2 ** -24 * Math.abs(score))
  if (scores.stage === 'weights') {
    expectWithinBound(actual.output, { values, bound: bound.map((own, index) => own + rounding[index]!) }, comparison)
    return
  }
  const row = (index: number): number => Math.floor(index / key.shape[2]!)
  const logarithms = actual.output.map((weight, index) => Math.log(weight) + actual.lse[row(index)]!)
  const allowed = bound.map((own, index) => {
    const relative = own / weights[index]!
    return relative / (1 - relative) + lseBound[row(index)]! + 2 ** -24 * Math.abs(lse[row(index)]!) + rounding[index]!
  })
  expectWithinBound(logarithms, { values, bound: allowed }, comparison)
}

/** The options whose effect a stage of the scores shows. */
function optionsUpTo({ stage }: OnnxScores, { scale, softcap, ...masks }: ProblemOptions): ProblemOptions {
  if (stage === 'products') return { scale }
  return stage === 'softcapped' ? { scale, softcap } : { scale, softcap, ...masks }
}

/** Values that make outputs of weights: key j's value is 1 at j. */
function identityFor({ shape, dtype }: HostTensor): HostTensor {
  const [batch, heads, keys] = shape as [number, number, number, number]
  const elements = Float64Array.from({ length: batch * heads * keys * keys }, (_, index) =>
    Math.floor(index / keys) % keys === index % keys ? 1 : 0,
  )
  return tensor(roundTo(elements, dtype), [batch, heads, keys, keys], { dtype })
}
