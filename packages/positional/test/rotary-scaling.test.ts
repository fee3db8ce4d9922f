import { rotary, type RotaryEncoding } from '@qkv/positional'
import { describe, expect, test } from 'vitest'
import { computedFrequencies, printedFrequencies } from './golden/rotary-frequencies.ts'
import { printed } from './support/printed.ts'
import { host } from './support/rotate.ts'

/** Radians per position and the attention factor, read off the table at position 1. */
function turnsOf(encoding: RotaryEncoding, contextLength = 2): { frequencies: number[]; factor: number } {
  const { cos, sin } = encoding.table([1], 'query', contextLength)
  const [x, y] = [host(cos).storage, host(sin).storage]
  const frequencies = Array.from(x, (cosine, pair) => Math.atan2(y[pair]!, cosine))
  return { frequencies, factor: Math.hypot(x[0]!, y[0]!) }
}

describe.each([
  { source: 'Hugging Face’s printed values', cases: printedFrequencies, slack: 0 },
  // The source computes in float32: its own rounding, several steps of it.
  { source: 'Hugging Face’s functions', cases: computedFrequencies, slack: 2e-6 },
])('frequencies agree with $source', ({ cases, slack }) => {
  test.each(cases)('$name', ({ options, contextLength, frequencies, attentionFactor }) => {
    const turns = turnsOf(rotary(options), contextLength)
    printed(frequencies).forEach(({ value, halfUnit }, pair) => {
      // The table is float32, and so are the angles read off it.
      const allowed = halfUnit + (slack + 2 ** -22) * value
      expect(Math.abs(turns.frequencies[pair]! - value), `pair ${pair}`).toBeLessThanOrEqual(allowed)
    })
    expect(turns.factor).toBeCloseTo(attentionFactor, 6)
  })
})
