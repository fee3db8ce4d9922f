import type { RandomGenerator } from 'pure-rand/types/RandomGenerator'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** Random numbers that a seed replays. */
export function randomStream(seed: number): RandomGenerator {
  const generator = xoroshiro128plus(seed)
  // Neighbouring seeds start alike; a few steps part them.
  for (let i = 0; i < 8; i++) generator.next()
  return generator
}
