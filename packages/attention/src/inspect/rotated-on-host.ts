import { broadcastTo, tensor, toFloat64, type HostTensor, type RotaryTable, type Tensor } from '@qkv/core'
import { onHost } from '../refuse.ts'

/** (u, w) → (u·cos − w·sin, w·cos + u·sin) for each pair of elements that the table turns. */
export function rotatedOnHost(operation: string, input: Tensor, { cos, sin, layout, dim }: RotaryTable): HostTensor {
  const [batch = 0, heads = 0, length = 0, headDim = 0] = input.shape
  const pairs = dim / 2
  const table = (view: Tensor): Float64Array =>
    toFloat64(broadcastTo(onHost(operation, 'position', view), [batch, heads, length, pairs]))
  const cosines = table(cos)
  const sines = table(sin)
  const vectors = toFloat64(onHost(operation, 'query and key', input))
  for (let row = 0; row < batch * heads * length; row++) {
    for (let pair = 0; pair < pairs; pair++) {
      const first = row * headDim + (layout === 'half' ? pair : 2 * pair)
      const second = first + (layout === 'half' ? pairs : 1)
      const u = vectors[first]!
      const w = vectors[second]!
      const c = cosines[row * pairs + pair]!
      const s = sines[row * pairs + pair]!
      vectors[first] = u * c - w * s
      vectors[second] = w * c + u * s
    }
  }
  return tensor(Float32Array.from(vectors), input.shape)
}
