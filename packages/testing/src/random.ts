import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** A stream of random choices that its seed replays. */
export interface Random {
  /** 0 ≤ number < 1 */
  uniform(): number
  /** lowest ≤ whole number ≤ highest */
  integer(lowest: number, highest: number): number
  /** Normal, with mean 0 and deviation 1. */
  normal(): number
  chance(probability: number): boolean
  pick<T>(choices: readonly T[]): T
}

/** Streams of one seed but different purposes are independent, so that adding one tensor leaves the others as they were. */
export function random(seed: number, purpose = ''): Random {
  const generator = xoroshiro128plus(seed ^ hash(purpose))
  // Neighbouring seeds start alike; a few steps part them.
  for (let i = 0; i < 8; i++) generator.next()
  const uniform = (): number => uniformFloat64(generator)
  const integer = (lowest: number, highest: number): number => uniformInt(generator, lowest, highest)
  return {
    uniform,
    integer,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    chance: (probability) => uniform() < probability,
    pick: (choices) => {
      const choice = choices[integer(0, choices.length - 1)]
      if (choice === undefined) throw new RangeError('nothing to pick from')
      return choice
    },
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let bits = 0x811c9dc5
  for (let i = 0; i < text.length; i++) bits = Math.imul(bits ^ text.charCodeAt(i), 0x01000193)
  return bits | 0
}
