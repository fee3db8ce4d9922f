import { checkPositive } from '../../refuse.ts'

/** What a way to reach beyond the trained length makes of rotary frequencies. */
export interface Scaling {
  /** [dim/2] radians per position, for a sequence of `contextLength` tokens; many ways do not look at it. */
  frequencies(contextLength: number): Float64Array
  /** Whether it does look at it. Default false. */
  readonly followsLength?: boolean
  /** Multiplies queries and keys. Default 1. */
  readonly attentionFactor?: number
}

/** What every scaling starts from. */
export interface Frequencies {
  readonly dim: number
  /** Default 10000. */
  readonly base?: number | undefined
}

/** A parameter by its name. @throws QkvError unless it, or its default, is a positive number. */
export function positive<Name extends string>(
  options: { readonly [N in Name]?: number | undefined },
  name: Name,
  otherwise?: number,
): number {
  return checkPositive('rotary', name, options[name] ?? otherwise)
}
