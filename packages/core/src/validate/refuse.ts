import { QkvError } from '../errors.ts'
import { refusal } from '../refusal.ts'
import type { Tensor } from '../tensor.ts'

/** Problems are validated for attention, whoever makes them. */
export const operation = 'attention'

export function invalid(argument: string, expected: string, received: string): QkvError {
  return refusal('OPTION_INVALID', operation, argument, expected, received)
}

export function mismatch(argument: string, expected: string, received: string): QkvError {
  return refusal('SHAPE_MISMATCH', operation, argument, expected, received)
}

export function unsupported(argument: string, expected: string, received: string): QkvError {
  return refusal('DTYPE_UNSUPPORTED', operation, argument, expected, received)
}

/** Two arguments that disagree: `sentence` says it in place of the parts. */
export function disagreement(argument: string, expected: string, received: string, sentence: string): QkvError {
  return new QkvError({ code: 'SHAPE_MISMATCH', operation, argument, expected, received, sentence })
}

export function shapeOf(view: Tensor): string {
  return `[${view.shape.join(',')}]`
}
