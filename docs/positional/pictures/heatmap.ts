import { svg, text } from './svg.ts'

export interface Heatmap {
  readonly title: string
  /** Rows of numbers; NaN stays empty. */
  readonly rows: readonly (readonly number[])[]
}

export interface HeatmapOptions {
  readonly title: string
  readonly across: string
  readonly down: string
  /** Pixels of a cell. Default 8. */
  readonly cell?: number
}

/** Matrices side by side, on one scale: blue below zero, orange above, white at zero. */
export function heatmaps(maps: readonly Heatmap[], { title, across, down, cell = 8 }: HeatmapOptions): string {
  const values = maps.flatMap(({ rows }) => rows.flat()).filter((value) => !Number.isNaN(value))
  const reach = Math.max(...values.map(Math.abs)) || 1
  const parts: string[] = [text(0, 12, `↓ ${down}   → ${across}`)]
  let x = 0
  let height = 0
  for (const map of maps) {
    parts.push(text(x, 32, map.title))
    parts.push(...cells(map.rows, x, 40, cell, reach))
    height = Math.max(height, 40 + map.rows.length * cell)
    x += Math.max((map.rows[0]?.length ?? 0) * cell, map.title.length * 6) + 20
  }
  parts.push(text(0, height + 18, legend(Math.min(...values), Math.max(...values))))
  return svg(Math.max(x - 20, 330), height + 24, title, parts)
}

/** A path for each colour, of all cells that have it: a tenth of the size of a rectangle each. */
function cells(rows: readonly (readonly number[])[], left: number, top: number, cell: number, reach: number): string[] {
  const paths = new Map<string, string>()
  rows.forEach((row, i) =>
    row.forEach((value, j) => {
      if (Number.isNaN(value)) return
      const colour = colourOf(Math.round((20 * value) / reach) / 20)
      paths.set(colour, `${paths.get(colour) ?? ''}M${left + j * cell} ${top + i * cell}h${cell}v${cell}h-${cell}`)
    }),
  )
  return [...paths].map(([colour, path]) => `<path fill="${colour}" stroke="${colour}" stroke-width="0.3" d="${path}"/>`)
}

/** A colour for −1 … 1. */
function colourOf(share: number): string {
  const [red, green, blue] = share < 0 ? [0, 114, 178] : [230, 120, 0]
  const strength = Math.sqrt(Math.min(1, Math.abs(share)))
  const mix = (channel: number): number => Math.round(255 + (channel - 255) * strength)
  return `rgb(${mix(red)},${mix(green)},${mix(blue)})`
}

function legend(low: number, high: number): string {
  const ends = [low < 0 ? [`blue ${format(low)}`] : [], ['white 0'], high > 1e-9 ? [`orange ${format(high)}`] : []]
  return ends.flat().join(' · ')
}

function format(value: number): string {
  return String(Number(value.toPrecision(2)))
}
