import type { QkvError } from '../errors.ts'
import { refusal } from '../refusal.ts'

/** The refusal of an expression, by the name of the part at fault. */
export function rejected(argument: string, expected: string, received: string, operation = 'expression'): QkvError {
  return refusal('EXPRESSION_REJECTED', operation, argument, expected, received)
}
