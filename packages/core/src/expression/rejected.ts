import { QkvError } from '../errors.ts'

/** The refusal of an expression, by the name of the part at fault. */
export function rejected(argument: string, expected: string, received: string, operation = 'expression'): QkvError {
  return new QkvError({ code: 'EXPRESSION_REJECTED', operation, argument, expected, received })
}
