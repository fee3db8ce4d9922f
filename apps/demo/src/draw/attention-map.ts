import { ink, inkColour } from './colour.ts'

/** Rows of weights: `rows[i][j]` is how much token i looks at token j; rows may be shorter than the last (causal). */
export type WeightRows = readonly ArrayLike<number>[]

/** Draws one head's map, a pixel a pair, queries downwards and keys to the right; the page scales the canvas up. */
export function drawAttentionMap(canvas: HTMLCanvasElement, rows: WeightRows): void {
  const height = Math.max(1, rows.length)
  const width = Math.max(1, ...rows.map((row) => row.length))
  canvas.width = width
  canvas.height = height
  const context = canvas.getContext('2d')
  if (!context || rows.length === 0) return
  const image = context.createImageData(width, height)
  const [r, g, b] = inkColour(canvas)
  rows.forEach((row, query) => {
    for (let key = 0; key < row.length; key++) {
      image.data.set([r, g, b, Math.round(255 * ink(row[key] ?? 0))], 4 * (query * width + key))
    }
  })
  context.putImageData(image, 0, 0)
}

/** The pair under the pointer, or undefined outside of the map. */
export function pairAt(canvas: HTMLCanvasElement, event: PointerEvent): { query: number; key: number } | undefined {
  const box = canvas.getBoundingClientRect()
  const key = Math.floor(((event.clientX - box.left) / box.width) * canvas.width)
  const query = Math.floor(((event.clientY - box.top) / box.height) * canvas.height)
  const inside = key >= 0 && query >= 0 && key < canvas.width && query < canvas.height
  return inside ? { query, key } : undefined
}
