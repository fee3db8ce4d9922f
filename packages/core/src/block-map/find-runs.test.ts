import { describe, expect, it } from 'vitest'
import { findRuns } from './find-runs.ts'
import { hidden, mixed, visible, type BoxClassifier } from './visibility-box.ts'

/** Each query sees the 512 keys up to its own position; `looks` counts how often the answer for a box was asked for. */
function countedBand(): Pick<BoxClassifier, 'classify'> & { looks: number } {
  const window = 512
  const band = {
    looks: 0,
    classify(firstRow: number, lastRow: number, firstKey: number, lastKey: number) {
      band.looks++
      const [nearest, farthest] = [firstRow - lastKey, lastRow - firstKey]
      if (nearest >= 0 && farthest < window) return visible
      return farthest < 0 || nearest >= window ? hidden : mixed
    },
  }
  return band
}

function looksFor(length: number): { looks: number; partial: number } {
  const band = countedBand()
  const tiles = length / 64
  const rows = findRuns(band, {
    queryLength: length,
    keyLength: length,
    queryTiles: tiles,
    keyTiles: tiles,
    tile: { queries: 64, keys: 64 },
  })
  let partial = 0
  for (const row of rows) for (let run = 0; run < row.length; run += 3) if (row[run + 2] === 0) partial += row[run + 1]! - row[run]!
  return { looks: band.looks, partial }
}

describe('the search for runs', () => {
  it('looks at a few boxes for each partial tile, not at every tile', () => {
    const { looks, partial } = looksFor(131_072)
    expect(partial).toBe(2048 + 2048 - 8)
    expect(looks).toBeLessThan(16 * partial)
  })

  it('grows with the partial tiles: fourfold for four times the length, though the tiles are sixteen times as many', () => {
    const [quarter, whole] = [looksFor(32_768), looksFor(131_072)]
    expect(whole.looks / quarter.looks).toBeCloseTo(whole.partial / quarter.partial, 0)
  })
})
