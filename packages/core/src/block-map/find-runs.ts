import type { TileSize } from './map.ts'
import { hidden, mixed, visible, type BoxClassifier, type BoxState } from './visibility-box.ts'

export interface TileGrid {
  readonly queryLength: number
  readonly keyLength: number
  readonly queryTiles: number
  readonly keyTiles: number
  readonly tile: TileSize
}

/**
 * The runs of each query tile: three numbers a run, as in {@link BlockMap}. A box of tiles that is not decided as a whole
 * is halved along both sides (or the longer, if it is much longer), so the work goes where the partial tiles are. Each row is
 * visited in ascending order of keys, and so come its runs.
 */
export function findRuns({ classify }: Pick<BoxClassifier, 'classify'>, grid: TileGrid): number[][] {
  const { queryLength, keyLength, queryTiles, keyTiles, tile } = grid
  const settle = settler(classify)
  const rows = Array.from({ length: queryTiles }, (): number[] => [])
  const visit = (firstRow: number, endRow: number, firstKey: number, endKey: number): void => {
    const [height, width] = [endRow - firstRow, endKey - firstKey]
    if (height === 0 || width === 0) return
    const single = height === 1 && width === 1
    const state = (single ? settle : classify)(
      firstRow * tile.queries,
      Math.min(queryLength, endRow * tile.queries) - 1,
      firstKey * tile.keys,
      Math.min(keyLength, endKey * tile.keys) - 1,
    )
    if (state === hidden) return
    if (state === visible || single) {
      for (let row = firstRow; row < endRow; row++) addRun(rows[row]!, firstKey, endKey, state === visible ? 1 : 0)
      return
    }
    const middleRow = 2 * height > width ? (firstRow + endRow) >> 1 : endRow
    const middleKey = 2 * width > height ? (firstKey + endKey) >> 1 : endKey
    visit(firstRow, middleRow, firstKey, middleKey)
    visit(firstRow, middleRow, middleKey, endKey)
    visit(middleRow, endRow, firstKey, middleKey)
    visit(middleRow, endRow, middleKey, endKey)
  }
  if (queryTiles > 0 && keyTiles > 0) visit(0, queryTiles, 0, keyTiles)
  return rows
}

function addRun(row: number[], first: number, end: number, full: number): void {
  const { length } = row
  if (length > 0 && row[length - 2] === first && row[length - 1] === full) row[length - 2] = end
  else row.push(first, end, full)
}

/** Enough for what our masks make of a tile; what would take longer counts as partial. */
const mostLooks = 128

/**
 * What decides one tile. Analysis of the whole may not decide what its parts decide alike, so they are looked at, by
 * halves, until two differ or all agree. Three corners come first: in most partial tiles they differ.
 */
function settler(classify: BoxClassifier['classify']): BoxClassifier['classify'] {
  let agreed: BoxState = mixed
  let looks = 0
  const differs = (state: BoxState): boolean => {
    if (agreed === mixed) agreed = state
    return state === mixed || state !== agreed
  }
  const anyDiffers = (firstRow: number, lastRow: number, firstKey: number, lastKey: number): boolean => {
    if (++looks > mostLooks) return true
    const state = classify(firstRow, lastRow, firstKey, lastKey)
    // A pair alone that is not decided depends on a platform's rounding.
    const single = firstRow === lastRow && firstKey === lastKey
    return state === mixed && !single ? halvesDiffer(firstRow, lastRow, firstKey, lastKey) : differs(state)
  }
  const halvesDiffer = (firstRow: number, lastRow: number, firstKey: number, lastKey: number): boolean => {
    if (lastRow - firstRow > lastKey - firstKey) {
      const middle = (firstRow + lastRow) >> 1
      return anyDiffers(firstRow, middle, firstKey, lastKey) || anyDiffers(middle + 1, lastRow, firstKey, lastKey)
    }
    const middle = (firstKey + lastKey) >> 1
    return anyDiffers(firstRow, lastRow, firstKey, middle) || anyDiffers(firstRow, lastRow, middle + 1, lastKey)
  }
  return (firstRow, lastRow, firstKey, lastKey) => {
    const whole = classify(firstRow, lastRow, firstKey, lastKey)
    if (whole !== mixed || (firstRow === lastRow && firstKey === lastKey)) return whole
    agreed = mixed
    looks = 0
    const partial =
      differs(classify(firstRow, firstRow, lastKey, lastKey)) ||
      differs(classify(lastRow, lastRow, firstKey, firstKey)) ||
      differs(classify(firstRow, firstRow, firstKey, firstKey)) ||
      halvesDiffer(firstRow, lastRow, firstKey, lastKey)
    return partial ? mixed : agreed
  }
}
