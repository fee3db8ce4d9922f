/** What went wrong, for programs. The list only grows; a code never changes its meaning. */
export type QkvErrorCode =
  | 'SHAPE_MISMATCH'
  | 'DTYPE_UNSUPPORTED'
  | 'OPTION_INVALID'
  | 'ALIASING'
  | 'NON_FINITE'
  | 'LIMIT_EXCEEDED'
  | 'OUT_OF_MEMORY'
  | 'DEVICE_LOST'
  | 'DEVICE_UNAVAILABLE'
  | 'PIPELINE_FAILED'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'DISPOSED'
  | 'WORKER_FAILED'
  | 'WASM_UNAVAILABLE'
  | 'EXPRESSION_REJECTED'
  | 'FILE_MALFORMED'
  | 'INTERNAL'

export interface QkvErrorDetails {
  readonly code: QkvErrorCode
  /** The public function that refused, e.g. `attention`. */
  readonly operation: string
  /** The argument or option at fault, e.g. `key` or `window.left`. */
  readonly argument: string
  readonly expected: string
  readonly received: string
  /** Replaces the sentence made of the parts above where two arguments disagree. */
  readonly sentence?: string
  readonly cause?: unknown
}

const brand = Symbol.for('@qkv/error')

/**
 * The one error of all QKV packages. Several versions of a package may meet in one program, so recognise it with
 * {@link QkvError.is}, not with `instanceof`.
 */
export class QkvError extends Error {
  override readonly name = 'QkvError'
  readonly code: QkvErrorCode
  readonly operation: string
  readonly argument: string
  readonly expected: string
  readonly received: string

  constructor(details: QkvErrorDetails) {
    const { operation, argument, expected, received, sentence, cause } = details
    super(
      `${operation}: ${sentence ?? `${argument} must be ${expected}; received ${received}`}`,
      cause === undefined ? undefined : { cause },
    )
    Object.defineProperty(this, brand, { value: true })
    this.code = details.code
    this.operation = operation
    this.argument = argument
    this.expected = expected
    this.received = received
  }

  static is(value: unknown): value is QkvError {
    return typeof value === 'object' && value !== null && brand in value
  }
}

/** A value as an error message shows it: short, and never a tensor's contents. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`
  if (typeof value === 'function') return 'a function'
  if (value === null || typeof value !== 'object') return String(value)
  if (Array.isArray(value)) {
    return value.length <= 8 && value.every((item) => typeof item === 'number')
      ? `[${value.join(',')}]`
      : `an array of ${value.length}`
  }
  return value.constructor?.name === 'Object' ? 'an object' : `a ${value.constructor?.name ?? 'object'}`
}
