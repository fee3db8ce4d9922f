import { colourOf, ink } from './colour.ts'

/** `rows[i][j]` is how much token i looks at token j; rows may end at their own token (causal). */
export type WeightRows = readonly ArrayLike<number>[]

export interface MapPainter {
  /** Brings the canvas up to date with the first `length` rows; those painted before are not painted again. */
  paint(rows: WeightRows, length: number): void
  /** Paints everything anew next time, for a new theme. */
  forget(): void
}

/**
 * Paints a head's map, a pixel a pair, queries downwards and keys to the right. The canvas is wider than the map, so that
 * a text may grow without repainting; `sideOf` says by how much.
 */
export function mapPainter(canvas: HTMLCanvasElement): MapPainter {
  let painted: WeightRows | undefined
  let count = 0
  return {
    forget() {
      painted = undefined
    },
    paint(rows, length) {
      const side = sideOf(length)
      if (rows !== painted || length < count || side !== canvas.width) {
        canvas.width = canvas.height = side
        painted = rows
        count = 0
      }
      const context = canvas.getContext('2d', { willReadFrequently: true })
      if (!context || count === length) return
      context.putImageData(imageOf(rows.slice(count, length), side, colourOf(canvas)), 0, count)
      count = length
    },
  }
}

/** Pixels of the canvas for a map of so many tokens: a power of two. */
export function sideOf(tokens: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(8, tokens)))
}

function imageOf(rows: WeightRows, width: number, [r, g, b]: readonly [number, number, number]): ImageData {
  const image = new ImageData(width, rows.length)
  rows.forEach((row, index) => {
    for (let key = 0; key < row.length; key++) {
      image.data.set([r, g, b, Math.round(255 * ink(row[key] ?? 0))], 4 * (index * width + key))
    }
  })
  return image
}
