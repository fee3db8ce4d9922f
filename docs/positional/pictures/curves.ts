import { colours, line, polyline, svg, text } from './svg.ts'

export interface Curve {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface CurveOptions {
  readonly title: string
  readonly across: string
  readonly up: string
}

const [left, top, width, height] = [44, 24, 420, 200]

/** Curves over one another, on linear axes, named beside them. */
export function curves(drawn: readonly Curve[], { title, across, up }: CurveOptions): string {
  const points = drawn.flatMap((curve) => curve.points)
  const [x0, x1] = ends(points.map(([x]) => x))
  const [y0, y1] = ends(points.map(([, y]) => y))
  const at = ([x, y]: readonly [number, number]): [number, number] => [
    left + ((x - x0) / (x1 - x0)) * width,
    top + (1 - (y - y0) / (y1 - y0)) * height,
  ]
  const parts = [line(left, top, left, top + height), line(left, top + height, left + width, top + height), text(0, 12, up)]
  if (y0 < 0 && y1 > 0) parts.push(line(left, at([x0, 0])[1], left + width, at([x0, 0])[1]))
  parts.push(text(left - 6, top + 8, tick(y1), 'end'), text(left - 6, top + height, tick(y0), 'end'))
  parts.push(
    text(left, top + height + 16, tick(x0)),
    text(left + width, top + height + 16, tick(x1), 'end'),
    text(left + width / 2, top + height + 16, across, 'middle'),
  )
  drawn.forEach(({ name, points: own }, i) => {
    const colour = colours[i % colours.length] ?? 'currentColor'
    parts.push(polyline(own.map(at), colour), `<g fill="${colour}">${text(left + width + 12, top + 12 + i * 16, name)}</g>`)
  })
  return svg(left + width + 170, top + height + 24, title, parts)
}

function ends(values: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return low === high ? [low - 1, high + 1] : [low, high]
}

function tick(value: number): string {
  return String(Number(value.toPrecision(3)))
}
