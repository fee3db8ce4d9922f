import { scoreMod } from '../expression/build.ts'
import { captureOf, lastIndex } from '../expression/capture-of.ts'
import type { ScoreMod } from '../expression/node.ts'
import type { HostTensor } from '../tensor.ts'

/**
 * Each head's scores fall with the distance to earlier keys by its own slope: ALiBi (Press et al., 2022), for causal
 * attention, as they rise towards later keys.
 *
 * @param slopes [queryHeads]
 */
export function linearBias(slopes: HostTensor | readonly number[]): ScoreMod {
  const slope = captureOf('float', slopes)
  return scoreMod((score, { head, query, key }) => score.add(slope.at(head).mul(key.sub(query))))
}

/**
 * Adds a number for each head and distance key − query, from −reach to reach; beyond, the outermost counts.
 *
 * @param table [queryHeads, 2 · reach + 1]
 */
export function relativeBias(table: HostTensor): ScoreMod {
  const bias = captureOf('float', table)
  const reach = lastIndex(table) / 2
  return scoreMod((score, { head, query, key }) => score.add(bias.at(head, key.sub(query).clamp(-reach, reach).add(reach))))
}

/** Weights halve with every `halfLife` tokens of distance. */
export function distanceDecay(halfLife: number): ScoreMod {
  return scoreMod((score, { query, key }) =>
    score.sub(
      query
        .sub(key)
        .abs()
        .toFloat()
        .mul(Math.LN2 / halfLife),
    ),
  )
}
