import { QkvError, type QkvErrorCode } from './errors.ts'

/** The error that refuses an argument: what was expected of it, and what came. */
export function refusal(code: QkvErrorCode, operation: string, argument: string, expected: string, received: string): QkvError {
  return new QkvError({ code, operation, argument, expected, received })
}
