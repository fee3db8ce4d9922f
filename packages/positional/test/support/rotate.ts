import { toFloat64, type HostTensor, type RotaryTable, type Tensor, broadcastTo, isHostTensor } from '@qkv/core'

export function host(view: Tensor): HostTensor {
  if (!isHostTensor(view)) throw new Error('not in host memory')
  return view
}

/** [batch, heads, length, dim] with its leading elements rotated, in float64: what tables mean. */
export function rotate(input: HostTensor, table: RotaryTable): Float64Array {
  const [batch = 0, heads = 0, length = 0, dim = 0] = input.shape
  const pairs = table.dim / 2
  const [cos, sin] = [table.cos, table.sin].map((part) => toFloat64(broadcastTo(host(part), [batch, heads, length, pairs])))
  const rotated = toFloat64(input)
  for (let row = 0; row < batch * heads * length; row++) {
    for (let pair = 0; pair < pairs; pair++) {
      const first = row * dim + (table.layout === 'half' ? pair : 2 * pair)
      const second = table.layout === 'half' ? first + pairs : first + 1
      const [u, w] = [rotated[first]!, rotated[second]!]
      const [c, s] = [cos![row * pairs + pair]!, sin![row * pairs + pair]!]
      rotated[first] = u * c - w * s
      rotated[second] = w * c + u * s
    }
  }
  return rotated
}
