/** A matrix [outputs, inputs] times a vector. */
export function times(matrix: ArrayLike<number>, vector: ArrayLike<number>): Float64Array {
  const inputs = vector.length
  return Float64Array.from({ length: matrix.length / inputs }, (_, row) => dot(matrix, row * inputs, vector, 0, inputs))
}

/** `count` elements of `a` and of `b`, from where each begins. */
export function dot(a: ArrayLike<number>, beginA: number, b: ArrayLike<number>, beginB: number, count: number): number {
  let sum = 0
  for (let c = 0; c < count; c++) sum += a[beginA + c]! * b[beginB + c]!
  return sum
}

export function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x))
}

/**
 * One head's output for one query: the mean of values, weighted by the exponentials of the scores. Keys and values hold all heads;
 * the one that is read begins at `at`.
 */
export function attendInto(
  output: Float64Array,
  query: Float64Array,
  keys: readonly Float64Array[],
  values: readonly Float64Array[],
  at: number,
): void {
  const weights = keys.map((key) => Math.exp(dot(query, 0, key, at, query.length) / Math.sqrt(query.length)))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  weights.forEach((weight, j) => {
    for (let c = 0; c < output.length; c++) output[c]! += (weight / sum) * values[j]![at + c]!
  })
}
