import { tensor, toFloat64, type HostTensor } from '@qkv/core'
import { resizeTable, sinusoidal, timestep } from '@qkv/positional'
import { heatmaps } from './heatmap.ts'
import { range } from './measure.ts'

const labels = { across: 'element', down: 'position' }

export function sinusoidalPicture(): string {
  const maps = (['interleaved', 'concatenated'] as const).map((layout) => ({
    title: layout,
    rows: rowsOf(sinusoidal({ dim: 32, layout }).embed({ start: 0, length: 40 })),
  }))
  return heatmaps(maps, { title: 'Sinusoids of both layouts', ...labels })
}

export function timestepPicture(): string {
  const maps = (['sin', 'cos'] as const).map((first) => ({
    title: `${first} first`,
    rows: rowsOf(timestep({ dim: 32, first, shift: 0 }).embed(range(40).map((n) => n * 25))),
  }))
  return heatmaps(maps, { title: 'Sinusoids of timesteps', across: 'element', down: 'timestep, 0 to 975' })
}

export function learnedPicture(): string {
  const table = tensor(
    range(16).map((patch) => Math.sin(Math.floor(patch / 4) * 1.3) + Math.cos((patch % 4) * 1.7)),
    [16, 1],
  )
  const grid = (view: HostTensor, size: number): number[][] =>
    range(size).map((y) => Array.from(toFloat64(view).slice(y * size, (y + 1) * size)))
  const maps = [
    { title: '4 by 4', rows: grid(table, 4) },
    { title: '16 by 16', rows: grid(resizeTable(table, { from: [4, 4], to: [16, 16] }), 16) },
  ]
  return heatmaps(maps, { title: 'One element of a learned table, resized', across: 'x', down: 'y', cell: 11 })
}

function rowsOf(view: HostTensor): number[][] {
  const [rows = 0, columns = 0] = view.shape
  const values = toFloat64(view)
  return range(rows).map((row) => Array.from(values.slice(row * columns, (row + 1) * columns)))
}
