/**
 * An exact value, and how far a float32 kernel's value may lie from it: running error analysis (Higham, Accuracy and
 * Stability of Numerical Algorithms, 2002, §3.3). Each operation passes its operands' errors on and adds its own
 * rounding, so the error of a whole formula follows by writing the formula down.
 */
export interface Estimate {
  readonly value: number
  readonly error: number
}

/** How accurate a platform's float32 operations are, relative to their result unless said otherwise. */
export interface Arithmetic {
  /** One rounded +, − or ×. */
  readonly unit: number
  readonly divide: number
  /** exp(x) is off by `exp + expSlope·|x|`. */
  readonly exp: number
  readonly expSlope: number
  /** Absolute. */
  readonly tanh: number
  /** log(x) is off by `log·|log x| + logNearOne`; the latter absolute. */
  readonly log: number
  readonly logNearOne: number
}

export type Platform = 'cpu' | 'wgsl'

/**
 * `cpu` rounds to nearest and its own exp is within one unit in the last place. WGSL fixes no rounding mode, and its
 * built-in functions are as loose as the WGSL specification's table of accuracies allows; tanh is our own there.
 */
export const platforms: Readonly<Record<Platform, Arithmetic>> = {
  cpu: { unit: 2 ** -24, divide: 2 ** -24, exp: 2 ** -23, expSlope: 2 ** -24, tanh: 2 ** -22, log: 2 ** -22, logNearOne: 2 ** -23 },
  wgsl: {
    unit: 2 ** -23,
    divide: 3 * 2 ** -23,
    exp: 6 * 2 ** -23,
    expSlope: 4 * 2 ** -23,
    tanh: 2 ** -20,
    log: 2 ** -21,
    logNearOne: 2 ** -21,
  },
}

/** γ(k): the relative error of a sum of products after `count` roundings, whatever their order. */
export function accumulated(count: number, { unit }: Arithmetic): number {
  return (count * unit) / (1 - count * unit)
}

export function exact(value: number): Estimate {
  return { value, error: 0 }
}

/** A number that reaches the kernel as a float32. */
export function rounded(value: number): Estimate {
  return { value, error: Math.abs(value - Math.fround(value)) }
}

export function add(a: Estimate, b: Estimate, { unit }: Arithmetic): Estimate {
  const value = a.value + b.value
  return { value, error: a.error + b.error + unit * (Math.abs(value) + a.error + b.error) }
}

export function subtract(a: Estimate, b: Estimate, arithmetic: Arithmetic): Estimate {
  return add(a, { value: -b.value, error: b.error }, arithmetic)
}

export function multiply(a: Estimate, b: Estimate, { unit }: Arithmetic): Estimate {
  const value = a.value * b.value
  const passedOn = Math.abs(a.value) * b.error + Math.abs(b.value) * a.error + a.error * b.error
  return { value, error: finite(passedOn + unit * (Math.abs(value) + passedOn)) }
}

export function divide(a: Estimate, b: Estimate, arithmetic: Arithmetic): Estimate {
  const value = a.value / b.value
  const nearest = Math.abs(b.value) - b.error
  const passedOn = nearest > 0 ? (a.error + Math.abs(value) * b.error) / nearest : Infinity
  return { value, error: finite(passedOn + arithmetic.divide * (Math.abs(value) + passedOn)) }
}

export function exp(a: Estimate, arithmetic: Arithmetic): Estimate {
  const value = Math.exp(a.value)
  const relative = Math.expm1(a.error + arithmetic.exp + arithmetic.expSlope * Math.abs(a.value))
  return { value, error: finite(value * relative) + underflow }
}

export function log(a: Estimate, { log, logNearOne }: Arithmetic): Estimate {
  const value = Math.log(a.value)
  const nearest = a.value - a.error
  const passedOn = a.error === 0 ? 0 : nearest > 0 ? a.error / nearest : Infinity
  return { value, error: finite(passedOn + log * Math.abs(value) + logNearOne) }
}

export function tanh(a: Estimate, arithmetic: Arithmetic): Estimate {
  const value = Math.tanh(a.value)
  // tanh is flattest far from zero: its steepest slope within the error is at the end nearer to zero.
  const slope = 1 - Math.tanh(Math.max(0, Math.abs(a.value) - a.error)) ** 2
  return { value, error: Math.min(2, slope * a.error + arithmetic.tanh) }
}

/** Below the smallest normal float32 a kernel may keep what it computes or flush it to zero. */
export const underflow: number = 2 ** -126

/** An error that arithmetic could not bound (∞ · 0) bounds nothing. */
function finite(error: number): number {
  return Number.isNaN(error) ? Infinity : error
}
