import { describe } from '../errors.ts'
import { refusal } from '../refusal.ts'
import type { BlockMap } from './map.ts'
import { sparsity } from './sparsity.ts'

const widestText = 64

/**
 * A line of figures and a picture of the first plane, a character a tile: `█` full, `▒` partial, `·` empty. Of large maps a
 * character stands for a square of tiles.
 */
export function printBlockMap(map: BlockMap): string {
  const { queryTiles, keyTiles, tile, planes } = map
  const { full, partial, empty, speedup } = sparsity(map)
  const scale = Math.max(1, Math.ceil(Math.max(queryTiles, keyTiles) / widestText))
  const rows = Math.ceil(queryTiles / scale)
  const columns = Math.ceil(keyTiles / scale)
  const visibleTiles = new Float64Array(rows * columns)
  const fullTiles = new Float64Array(rows * columns)
  forEachRun(map, 0, (row, first, end, isFull) => {
    for (let key = first; key < end; key++) {
      const cell = Math.floor(row / scale) * columns + Math.floor(key / scale)
      visibleTiles[cell] = (visibleTiles[cell] ?? 0) + 1
      if (isFull) fullTiles[cell] = (fullTiles[cell] ?? 0) + 1
    }
  })
  const size = (count: number, cell: number): number => Math.min(scale, count - cell * scale)
  const character = (row: number, column: number): string => {
    const cell = row * columns + column
    if (visibleTiles[cell] === 0) return '·'
    return fullTiles[cell] === size(queryTiles, row) * size(keyTiles, column) ? '█' : '▒'
  }
  const picture = Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => character(row, column)).join(''),
  )
  const planesOf = planes === 1 ? '' : `, the first of ${planes} planes`
  const figures =
    `${queryTiles} × ${keyTiles} tiles of ${tile.queries} × ${tile.keys}${planesOf}: ` +
    `${full} full, ${partial} partial, ${empty} empty in all; expected speed-up ${speedup.toPrecision(3)}×`
  return [figures, ...picture].join('\n')
}

export interface DrawingOptions {
  /** Default 0. */
  readonly plane?: number | undefined
  /** In pixels; default 320. */
  readonly width?: number | undefined
}

/**
 * One plane as an SVG image: keys from left to right, queries from top to bottom; partial tiles are the lighter ones.
 *
 * @throws QkvError `OPTION_INVALID` for a plane that the map does not have.
 */
export function drawBlockMap(map: BlockMap, { plane = 0, width = 320 }: DrawingOptions = {}): string {
  const { queryTiles, keyTiles, planes } = map
  if (!Number.isInteger(plane) || plane < 0 || plane > Math.max(0, planes - 1)) {
    throw refusal('OPTION_INVALID', 'drawBlockMap', 'plane', `one of the map's ${planes}, counted from 0`, describe(plane))
  }
  const paths = { full: '', partial: '' }
  forEachRun(map, plane, (row, first, end, full) => {
    paths[full ? 'full' : 'partial'] += `M${first} ${row}h${end - first}v1h${first - end}z`
  })
  const height = Math.round((width * queryTiles) / Math.max(1, keyTiles))
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${keyTiles} ${queryTiles}" width="${width}" height="${height}" ` +
    `role="img" shape-rendering="crispEdges"><title>Block map of ${queryTiles} × ${keyTiles} tiles</title>` +
    `<rect width="100%" height="100%" fill="#eef1f5"/>` +
    `<path fill="#2457d6" d="${paths.full}"/><path fill="#9db8f5" d="${paths.partial}"/></svg>`
  )
}

function forEachRun(
  { runs, runOffsets, queryTiles, planes }: BlockMap,
  plane: number,
  visit: (row: number, first: number, end: number, full: boolean) => void,
): void {
  if (plane >= planes) return
  for (let row = 0; row < queryTiles; row++) {
    const end = runOffsets[plane * queryTiles + row + 1] ?? 0
    for (let run = runOffsets[plane * queryTiles + row] ?? 0; run < end; run++) {
      visit(row, runs[3 * run] ?? 0, runs[3 * run + 1] ?? 0, runs[3 * run + 2] === 1)
    }
  }
}
