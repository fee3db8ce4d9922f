export interface Norm {
  readonly kind: 'rms' | 'layer'
  readonly epsilon: number
}

export interface NormGradient {
  readonly dInput: Float64Array
  /** [dim] */
  readonly dWeight: Float64Array
  readonly dBias: Float64Array
}

/**
 * Back through y = x̂·w + b, where x̂ = (x − μ)·r over each row, r = 1/√(mean (x − μ)² + ε), and μ is the row's mean in a
 * layer norm, 0 in an rms norm. With g = w·dy:
 *
 *     dx = r·(g − x̂·mean(g·x̂) [− mean(g) in a layer norm]),   dw = Σ dy·x̂,   db = Σ dy.
 *
 * @param input x, rows of as many elements as `weight` has
 */
export function normGradient(
  input: Float64Array,
  weight: Float64Array,
  dOutput: Float64Array,
  { kind, epsilon }: Norm,
): NormGradient {
  const dim = weight.length
  const [dInput, dWeight, dBias] = [new Float64Array(input.length), new Float64Array(dim), new Float64Array(dim)]
  for (let start = 0; start < input.length; start += dim) {
    const row = (values: Float64Array): Float64Array => values.subarray(start, start + dim)
    const [x, dy, dx] = [row(input), row(dOutput), row(dInput)]
    const centre = kind === 'layer' ? mean(x) : 0
    const r = 1 / Math.sqrt(mean(x.map((element) => (element - centre) ** 2)) + epsilon)
    const normalised = x.map((element) => (element - centre) * r)
    const g = dy.map((element, c) => element * weight[c]!)
    const along = mean(g.map((element, c) => element * normalised[c]!))
    const shift = kind === 'layer' ? mean(g) : 0
    for (let c = 0; c < dim; c++) {
      dx[c] = r * (g[c]! - normalised[c]! * along - shift)
      dWeight[c]! += dy[c]! * normalised[c]!
      dBias[c]! += dy[c]!
    }
  }
  return { dInput, dWeight, dBias }
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
