import { declareStrides } from './elements.wgsl.ts'

/**
 * Tensors of up to four axes are walked by the same code: `rank`, the same for all invocations, says how many there are, so none
 * pays for axes that it has not. Tensors of more axes that do not lie in one another's order get code of their own.
 */
export function walkedAxes(rank: number): number {
  return Math.max(4, rank)
}

/** The parameters that {@link walk} reads, where axis 0 is the innermost. */
export function walkParameters(names: readonly string[], axes: number): Record<string, 'i32'> {
  const parameters: Record<string, 'i32'> = { rank: 'i32' }
  for (let axis = 0; axis < axes; axis++) parameters[`size${axis}`] = 'i32'
  for (const name of names) Object.assign(parameters, declareStrides(name, axes))
  return parameters
}

/** `var {name}Index` for each name: where element number `index` of a row-major walk lies. */
export function walk(index: string, names: readonly string[], axes: number): string {
  const steps = Array.from({ length: axes }, (_, axis) => {
    const moved = names.map((name) => `${name}Index += i * parameters.${name}Stride${axis};`)
    return `if (parameters.rank > ${axis}) { let i = rest % parameters.size${axis}; rest /= parameters.size${axis}; ${moved.join(' ')} }`
  })
  return `var rest = ${index};
  ${names.map((name) => `var ${name}Index = parameters.${name}Offset;`).join(' ')}
  ${steps.join('\n  ')}`
}
