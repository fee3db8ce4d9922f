import { tensor, toFloat64, type HostTensor } from '@qkv/core'
import type { TurnedVectors } from '../encoding.ts'
import { tokenPositions } from '../positions.ts'

/** How the vectors were turned. */
export interface Turning {
  readonly operation: string
  readonly layout: 'half' | 'interleaved'
  /** [heads, axes, pairs] radians per position; one row of them serves all heads. */
  readonly frequencies: HostTensor
}

/**
 * From vectors that turned to the frequencies that turned them. A pair (u, w) that comes out of a turn by α moves by (−w, u) as
 * α grows, and α = Σ position · θ over the axes, so
 *
 *     dα = u·dw − w·du,   dθ = Σ position · dα   over tokens and batch entries.
 */
export function frequencyGradient({ operation, layout, frequencies }: Turning, turned: readonly TurnedVectors[]): HostTensor {
  const [heads = 0, axes = 0, pairs = 0] = frequencies.shape
  const sums = new Float64Array(heads * axes * pairs)
  for (const { positions, vectors, gradient } of turned) {
    const places = tokenPositions(operation, positions, axes)
    const [x, dx] = [toFloat64(vectors), toFloat64(gradient)]
    const [batch = 0, turnedHeads = 0, length = 0, headDim = 0] = vectors.shape
    for (let row = 0; row < batch * turnedHeads * length; row++) {
      const [token, entry] = [row % length, Math.floor(row / (length * turnedHeads))]
      const head = (Math.floor(row / length) % turnedHeads) % heads
      const place = places.shape.length === 2 ? entry * length + token : token
      for (let pair = 0; pair < pairs; pair++) {
        const first = row * headDim + (layout === 'half' ? pair : 2 * pair)
        const second = first + (layout === 'half' ? pairs : 1)
        const dAngle = x[first]! * dx[second]! - x[second]! * dx[first]!
        places.axes.forEach((along, axis) => (sums[(head * axes + axis) * pairs + pair]! += along[place]! * dAngle))
      }
    }
  }
  return tensor(Float32Array.from(sums), frequencies.shape)
}
