import type { Bounded, Platform } from '@qkv/core'

export interface Comparison {
  /** What is compared, e.g. `output`. */
  readonly name: string
  readonly shape: readonly number[]
  /** Replays the problem. */
  readonly token: string
  /**
   * On the CPU a NaN in a visible input makes NaN of what it touches, and of nothing else. WGSL has no dependable NaN:
   * where the exact value is NaN or infinite, anything passes.
   */
  readonly backend?: Platform | undefined
}

/** How a comparison came out, whether or not it passed. */
export interface Agreement {
  /** Largest |actual − exact| / bound; at most 1 where all is well. */
  readonly worstRatio: number
  /** Row-major number of the worst element; −1 where there are no elements. */
  readonly worst: number
  /** Whether passing says little: the bound exceeds a tenth of the values, or all values are zero. */
  readonly mistrusted: boolean
}

export function compare(actual: ArrayLike<number>, expected: Bounded, backend: Platform = 'cpu'): Agreement {
  const { values, bound } = expected
  if (actual.length !== values.length) throw new Error(`${actual.length} elements instead of ${values.length}`)
  let worst = -1
  let worstRatio = -1
  let magnitude = 0
  let allowance = 0
  values.forEach((value, index) => {
    const ratio = ratioOf(actual[index] ?? NaN, value, bound[index] ?? 0, backend)
    if (ratio > worstRatio) {
      worstRatio = ratio
      worst = index
    }
    if (!Number.isFinite(value)) return
    magnitude += Math.abs(value)
    allowance += Math.abs(bound[index] ?? 0)
  })
  return {
    worstRatio: Math.max(0, worstRatio),
    worst,
    mistrusted: values.length > 0 && (magnitude === 0 || !(allowance <= 0.1 * magnitude)),
  }
}

/** @throws naming the element that is furthest beyond its bound, and the token that replays the problem. */
export function expectWithinBound(actual: ArrayLike<number>, expected: Bounded, comparison: Comparison): Agreement {
  const { name, shape, token, backend } = comparison
  const agreement = compare(actual, expected, backend)
  const { worst, worstRatio } = agreement
  if (worstRatio <= 1) return agreement
  const position = shape.map((size, axis) => Math.floor(worst / product(shape.slice(axis + 1))) % size)
  throw new Error(
    `${name}[${position.join(', ')}] is ${actual[worst]} instead of ${expected.values[worst]} ± ${expected.bound[worst]}, ` +
      `${worstRatio.toPrecision(3)} times its bound\n${token}`,
  )
}

/** Agreements of one kind over many problems. */
export interface Tally {
  add(agreement: Agreement, token: string): void
  readonly problems: number
  readonly worstRatio: number
  readonly worstToken: string
  readonly mistrusted: number
  /** One line for people. */
  summary(): string
  /** @throws where more than `share` of the problems were mistrusted: then the run says too little. */
  expectTrusted(share?: number): void
}

export function tally(name: string): Tally {
  let problems = 0
  let mistrusted = 0
  let worstRatio = 0
  let worstToken = ''
  const summary = (): string =>
    `${name}: ${problems} problems, worst error ${worstRatio.toPrecision(3)} of its bound (${worstToken}), ${mistrusted} mistrusted`
  return {
    add(agreement, token) {
      problems++
      if (agreement.mistrusted) mistrusted++
      if (agreement.worstRatio > worstRatio) {
        worstRatio = agreement.worstRatio
        worstToken = token
      }
    },
    get problems() {
      return problems
    },
    get worstRatio() {
      return worstRatio
    },
    get worstToken() {
      return worstToken
    },
    get mistrusted() {
      return mistrusted
    },
    summary,
    expectTrusted(share = 0.1) {
      if (mistrusted > share * problems) throw new Error(`too many problems say nothing. ${summary()}`)
    },
  }
}

function ratioOf(actual: number, exact: number, bound: number, backend: Platform): number {
  if (Object.is(actual, exact) || actual === exact) return 0
  if (exact === -Infinity) return Infinity
  if (!Number.isFinite(exact)) return backend === 'wgsl' || !Number.isFinite(actual) ? 0 : Infinity
  const error = Math.abs(actual - exact)
  return error <= bound ? error / bound : Number.isNaN(error / bound) ? Infinity : error / bound
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total * size, 1)
}
