import { inspection, type Inspection } from './inspection.ts'

/**
 * How spread out each chosen row is: −Σ p ln p over the keys and a learned sink, in nats. 0 looks at one key alone,
 * ln(n) at n keys alike. `[head][row]`.
 */
export const entropy: Inspection<readonly Float64Array[]> = inspection('inspect.entropy', (walk) => {
  const entropies: number[][] = []
  const { heads } = walk(({ head, weights, sink }) => {
    let sum = surprise(sink)
    for (const weight of weights) sum += surprise(weight)
    ;(entropies[head] ??= []).push(sum)
  })
  return heads.map((_, head) => Float64Array.from(entropies[head] ?? []))
})

/** Where a head puts what it has no use for, as means over the chosen rows. */
export interface SinkMass {
  /** On the first key, which a row standing there is not counted for. */
  readonly firstKey: number
  /** On the head's learned sink. */
  readonly sink: number
}

/**
 * The share of attention that goes to the first token and to a learned sink: attention sinks (Xiao et al., Efficient
 * streaming language models with attention sinks, 2023, arXiv:2309.17453). One for each head.
 */
export const sinkMass: Inspection<readonly SinkMass[]> = inspection('inspect.sinkMass', (walk) => {
  const first: Mean[] = []
  const learned: Mean[] = []
  const { heads } = walk(({ head, position, weights, sink }) => {
    learned[head] = including(learned[head], sink)
    if (position > 0) first[head] = including(first[head], weights[0] ?? 0)
  })
  return heads.map((_, head) => ({ firstKey: meanOf(first[head]), sink: meanOf(learned[head]) }))
})

/**
 * How far back each head looks: `[head][d]` is the mean weight on the key d before the query, over the rows that have
 * one. Index 0 is the query's own position.
 */
export const distanceProfile: Inspection<readonly Float64Array[]> = inspection('inspect.distanceProfile', (walk) => {
  const means: Mean[][] = []
  const { heads, keyLength } = walk(({ head, position, weights }) => {
    const profile = (means[head] ??= [])
    for (let d = Math.max(0, position - weights.length + 1); d <= position; d++) {
      profile[d] = including(profile[d], weights[position - d] ?? 0)
    }
  })
  return heads.map((_, head) => Float64Array.from({ length: keyLength }, (_, d) => meanOf(means[head]?.[d])))
})

interface Mean {
  readonly sum: number
  readonly count: number
}

function including(mean: Mean | undefined, value: number): Mean {
  return { sum: (mean?.sum ?? 0) + value, count: (mean?.count ?? 0) + 1 }
}

function meanOf(mean: Mean | undefined): number {
  return mean === undefined ? 0 : mean.sum / mean.count
}

function surprise(weight: number): number {
  return weight > 0 ? -weight * Math.log(weight) : 0
}
