import { strideParameters, type Operand } from '../operands.ts'
import { walkedAxes } from '../snippets/walk.wgsl.ts'

/** How elements of tensors of one shape are walked together; see `walk.wgsl`. */
export interface Walk {
  readonly axes: number
  readonly parameters: Readonly<Record<string, number>>
}

/** A walk in row-major order; of strides, those of the shape's axes count. */
export function walkOf(shape: readonly number[], operands: Readonly<Record<string, Pick<Operand, 'strides' | 'offset'>>>): Walk {
  const { sizes, strides } = collapse(
    shape,
    Object.values(operands).map((operand) => operand.strides.slice(0, shape.length)),
  )
  const axes = walkedAxes(sizes.length)
  const inwards = (values: readonly number[], rest: number): number[] =>
    Array.from({ length: axes }, (_, axis) => values[sizes.length - 1 - axis] ?? rest)
  const parameters: Record<string, number> = { rank: sizes.length }
  inwards(sizes, 1).forEach((size, axis) => (parameters[`size${axis}`] = size))
  Object.entries(operands).forEach(([name, { offset }], which) =>
    Object.assign(parameters, strideParameters(name, { offset, strides: inwards(strides[which] ?? [], 0) })),
  )
  return { axes, parameters }
}

/** The fewest axes that walk the same elements in the same order in all layouts. */
export function collapse(
  shape: readonly number[],
  layouts: readonly (readonly number[])[],
): { sizes: number[]; strides: number[][] } {
  const sizes: number[] = []
  const strides: number[][] = layouts.map(() => [])
  for (let axis = 0; axis < shape.length; axis++) {
    const size = shape[axis] ?? 1
    if (size === 1) continue
    const last = sizes.length - 1
    const follows = last >= 0 && layouts.every((layout, which) => strides[which]?.[last] === (layout[axis] ?? 0) * size)
    if (follows) sizes[last] = (sizes[last] ?? 1) * size
    else sizes.push(size)
    layouts.forEach((layout, which) => {
      const list = strides[which]
      if (list !== undefined) list[sizes.length - 1] = layout[axis] ?? 0
    })
  }
  return sizes.length > 0 ? { sizes, strides } : { sizes: [1], strides: layouts.map(() => [0]) }
}
