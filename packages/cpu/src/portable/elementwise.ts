import { broadcastTo, type Activation, type HostTensor } from '@qkv/core'
import { normalDistribution } from './normal-distribution.ts'
import { forEachRow, loadRow, storeRow, withRows } from './rows.ts'

/** output = f(input), element by element. */
export function activate(input: HostTensor, activation: Activation, output: HostTensor): void {
  const f = functions[activation]
  const [from, to] = [withRows(input), withRows(output)]
  const row = new Float64Array(to.shape.at(-1)!)
  forEachRow(to.shape, [from, to], ([start = 0, end = 0]) => {
    loadRow(from, start, row)
    for (let i = 0; i < row.length; i++) row[i] = f(row[i]!)
    storeRow(to, end, row)
  })
}

export function add(left: HostTensor, right: HostTensor, output: HostTensor): void {
  combine(left, right, output, (a, b) => a + b)
}

export function multiply(left: HostTensor, right: HostTensor, output: HostTensor): void {
  combine(left, right, output, (a, b) => a * b)
}

function combine(left: HostTensor, right: HostTensor, output: HostTensor, f: (a: number, b: number) => number): void {
  const to = withRows(output)
  const [a, b] = [withRows(left), broadcastTo(right, to.shape)]
  const row = new Float64Array(to.shape.at(-1)!)
  const other = new Float64Array(row.length)
  forEachRow(to.shape, [a, b, to], ([start = 0, otherStart = 0, end = 0]) => {
    loadRow(a, start, row)
    loadRow(b, otherStart, other)
    for (let i = 0; i < row.length; i++) row[i] = f(row[i]!, other[i]!)
    storeRow(to, end, row)
  })
}

const functions: Readonly<Record<Activation, (x: number) => number>> = {
  relu: (x) => (x < 0 ? 0 : x),
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => x * normalDistribution(x),
  /** Hendrycks and Gimpel, Gaussian error linear units (2016), the approximation by tanh. */
  'gelu-tanh': (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
}

export const activations = Object.keys(functions) as readonly Activation[]
