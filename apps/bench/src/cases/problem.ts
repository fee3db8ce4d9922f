import {
  capture,
  documents as documentMask,
  problem,
  scoreMod,
  tensor,
  type AttentionProblem,
  type HostTensor,
  type ProblemOptions,
  type Tensor,
} from '@qkv/core'
import { t5Bias } from '@qkv/positional'
import type { AttentionCase } from './case.ts'
import { quantize } from './quantize.ts'
import { attentionVectors, type AttentionVectors } from './vectors.ts'

/** A case as a problem over typed arrays, before any rotation. */
export function problemOf(bench: AttentionCase): AttentionProblem {
  return problem(...operandsOf(bench, (host) => host))
}

/** What `problem()` takes, the big tensors wherever `place` puts them. */
export function operandsOf(bench: AttentionCase, place: (host: HostTensor) => Tensor): Parameters<typeof problem> {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim, keyDtype } = bench
  const vectors = attentionVectors(bench)
  const query = tensor(vectors.query, [batch, queryHeads, queryLength, headDim])
  const key = quantize(vectors.key, [batch, keyHeads, keyLength, headDim], keyDtype)
  const value = quantize(vectors.value, [batch, keyHeads, keyLength, valueDim], keyDtype)
  const options = {
    ...optionsOf(bench, vectors),
    bias: bench.bias && vectors.bias ? place(tensor(vectors.bias, [1, queryHeads, queryLength, keyLength])) : undefined,
    keyScales: key.scales && place(key.scales),
    valueScales: value.scales && place(value.scales),
  }
  return [place(query), place(key.stored), place(value.stored), options]
}

function optionsOf(bench: AttentionCase, { sinks, t5Table }: AttentionVectors): ProblemOptions {
  const { causal, windowLeft, softcap, documents, alibi, queryHeads } = bench
  return {
    causal,
    window: windowLeft === undefined ? undefined : { left: windowLeft },
    softcap,
    sinks: sinks && tensor(sinks, [queryHeads]),
    mask: documents && documentMask(documentNumbers(documents)),
    score: alibi ? alibiScore(queryHeads) : t5Table && t5Bias({ table: tensor(t5Table, [32, queryHeads]) }).scoreMod,
  }
}

function documentNumbers(documents: readonly number[]): HostTensor {
  const numbers = documents.flatMap((length, number) => Array.from({ length }, () => number))
  return tensor(Int32Array.from(numbers), [numbers.length])
}

/** Press et al. 2022: 2^(−8h/heads) times the distance. */
function alibiScore(heads: number) {
  const slopes = capture(
    tensor(
      Float32Array.from({ length: heads }, (_, head) => 2 ** ((-8 * (head + 1)) / heads)),
      [heads],
    ),
  )
  return scoreMod((score, { head, query, key }) => score.add(slopes.at(head).mul(key.sub(query).toFloat())))
}
