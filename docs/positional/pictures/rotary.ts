import { tensor } from '@qkv/core'
import {
  axialRotary,
  gridPositions,
  mixedRotary,
  multimodalRotary,
  rotary,
  xpos,
  type RotaryEncoding,
  type RotaryOptions,
} from '@qkv/positional'
import { curves } from './curves.ts'
import { heatmaps } from './heatmap.ts'
import { numbersOf, range, scoreBetween } from './measure.ts'
import { colours, rectangle, svg, text } from './svg.ts'

/** Cosines of a table: a row for each pair, a column for each position. */
export function rotaryPicture(): string {
  const { cos } = rotary({ dim: 32 }).table({ start: 0, length: 64 })
  const values = numbersOf(cos)
  const rows = range(16).map((pair) => range(64).map((position) => values[position * 16 + pair]!))
  return heatmaps([{ title: 'cos(position · θ), dim 32', rows }], {
    title: 'Cosines of a rotary table',
    across: 'position',
    down: 'pair, fast to slow',
  })
}

/** Each pair's frequency as a share of the plain one, for one model stretched eightfold. */
export function scalingPicture(): string {
  const [dim, trained, factor] = [128, 4096, 8]
  const names: Readonly<Record<string, RotaryOptions>> = {
    linear: { dim, type: 'linear', factor },
    'dynamic, at 8 × 4096': { dim, type: 'dynamic', factor, max_position_embeddings: trained },
    yarn: { dim, type: 'yarn', factor, original_max_position_embeddings: trained },
    llama3: { dim, type: 'llama3', factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: trained },
    'proportional, 0.5': { dim, type: 'proportional', partial_rotary_factor: 0.5 },
  }
  const frequencies = (encoding: RotaryEncoding): number[] => {
    const { cos, sin } = encoding.table([1], 'query', factor * trained)
    const [x, y] = [numbersOf(cos), numbersOf(sin)]
    return x.map((value, pair) => Math.atan2(y[pair]!, value))
  }
  const plain = frequencies(rotary({ dim }))
  const drawn = Object.entries(names).map(([name, options]) => ({
    name,
    points: frequencies(rotary(options)).map((theta, pair) => [pair, theta / plain[pair]!] as const),
  }))
  return curves(drawn, {
    title: 'What scalings make of frequencies',
    across: 'pair, fast to slow',
    up: 'frequency, as a share of the plain one',
  })
}

/** A strip for each order, a cell for each pair, in the colour of its axis. */
export function multimodalPicture(): string {
  const letters = ['time', 'height', 'width']
  const strips = (['chunked', 'interleaved', 'spatial-first'] as const).map((order) => {
    const encoding = multimodalRotary({ dim: 64, sections: [12, 10, 10], order })
    const turns = letters.map((_, axis) =>
      numbersOf(
        encoding.table(
          tensor(
            letters.map((__, a) => (a === axis ? 1 : 0)),
            [3, 1, 1],
            { dtype: 'int32' },
          ),
        ).sin,
      ),
    )
    return { order, axes: range(32).map((pair) => turns.findIndex((turn) => turn[pair] !== 0)) }
  })
  const parts = strips.flatMap(({ order, axes }, row) => [
    text(0, 37 + row * 30, order),
    ...axes.map((axis, pair) => rectangle(90 + pair * 14, 24 + row * 30, 13, 18, colours[axis]!)),
  ])
  letters.forEach((name, axis) => parts.push(rectangle(90 + axis * 90, 4, 12, 12, colours[axis]!), text(106 + axis * 90, 14, name)))
  return svg(90 + 32 * 14, 116, 'Which axis each of 32 pairs turns with', parts)
}

/** Scores of one patch with all others. */
export function axialPicture(): string {
  return heatmaps([around('axial', axialRotary({ dims: [16, 16], base: 100 }))], {
    title: 'Scores around a patch',
    across: 'x',
    down: 'y',
    cell: 10,
  })
}

export function mixedPicture(): string {
  // Eight directions, the same speeds for each.
  const directions = range(8).map((pair) => (Math.PI * pair) / 8)
  const speeds = [1, 0.4]
  const pairs = speeds.flatMap((speed) => directions.map((angle) => [speed * Math.sin(angle), speed * Math.cos(angle)]))
  const frequencies = tensor([...pairs.map(([y]) => y!), ...pairs.map(([, x]) => x!)], [1, 2, pairs.length])
  const maps = [
    around('axial', axialRotary({ dims: [16, 16], base: 6.25 })),
    around('mixed, eight directions', mixedRotary({ frequencies })),
  ]
  return heatmaps(maps, { title: 'Scores around a patch, axial and mixed', across: 'x', down: 'y', cell: 9 })
}

export function xposPicture(): string {
  const distances = range(129).map((n) => n * 8)
  const drawn = (
    [
      ['rotary', rotary({ dim: 64, layout: 'interleaved' })],
      ['xPos', xpos({ dim: 64 })],
    ] as const
  ).map(([name, encoding]) => ({
    name,
    points: distances.map((distance) => [distance, scoreBetween(encoding, [1024], [1024 - distance])] as const),
  }))
  return curves(drawn, {
    title: 'q·k of equal vectors by distance',
    across: 'distance',
    up: 'score, as a share of that at distance 0',
  })
}

function around(title: string, encoding: RotaryEncoding): { title: string; rows: number[][] } {
  const size = 21
  const patches = numbersOf(gridPositions([size, size]))
  const middle = (size - 1) / 2
  const rows = range(size).map((y) =>
    range(size).map((x) =>
      scoreBetween(encoding, [middle, middle], [patches[y * size + x]!, patches[size * size + y * size + x]!]),
    ),
  )
  return { title, rows }
}
