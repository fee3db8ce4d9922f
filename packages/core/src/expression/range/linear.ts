/**
 * A whole number as constant + Σ coefficient · slot, where slots hold token indices and whatever else is not linear.
 * 32-bit arithmetic is arithmetic modulo 2³², in which sums, differences and constant multiples stay linear even where
 * they wrap around: coefficients are kept modulo 2³², and the form equals the number wherever its range fits 32 bits.
 */
export interface Linear {
  readonly constant: number
  readonly terms: ReadonlyMap<number, number>
}

export function linearConstant(constant: number): Linear {
  return { constant, terms: new Map() }
}

export function linearSlot(slot: number): Linear {
  return { constant: 0, terms: new Map([[slot, 1]]) }
}

/** left + factor · right, modulo 2³². */
export function addLinear(left: Linear, right: Linear, factor: number): Linear {
  return combine(left, right, (a, b) => (a + Math.imul(b, factor)) | 0)
}

/** Whether a form of numbers that are `greatest` at most in size fits 32 bits, whatever they are. */
export function fitsInt({ constant, terms }: Linear, greatest: number): boolean {
  let size = Math.abs(constant)
  for (const coefficient of terms.values()) size += Math.abs(coefficient) * greatest
  return size < 2 ** 31
}

/** left − right in whole numbers without bound: the difference of two numbers that equal their forms. */
export function linearDifference(left: Linear, right: Linear): Linear {
  return combine(left, right, (a, b) => a - b)
}

function combine(left: Linear, right: Linear, operation: (a: number, b: number) => number): Linear {
  const terms = new Map(left.terms)
  for (const [slot, coefficient] of right.terms) {
    const sum = operation(terms.get(slot) ?? 0, coefficient)
    if (sum === 0) terms.delete(slot)
    else terms.set(slot, sum)
  }
  return { constant: operation(left.constant, right.constant), terms }
}
