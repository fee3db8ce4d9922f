import { broadcastTo, elementCount, reshape, tensor, type Backend, type HostTensor, type Tensor } from '@qkv/core'
import { copied } from '../copied.ts'
import type { Temporaries } from '../temporaries.ts'

/**
 * σ(gate) · attended, by merging: a part whose lse is the gate weighs e^gate / (e^gate + e^0) beside a part of zeros whose
 * lse is 0, and that is the sigmoid.
 *
 * @param attended contiguous [batch, length, heads·valueDim]
 * @param gate [batch, length, heads], or [batch, length, heads·valueDim] for a gate per element
 */
export function gated(
  backend: Backend,
  attended: Tensor,
  gate: Tensor,
  { heads, valueDim, gate: kind }: { heads: number; valueDim: number; gate: 'head' | 'element' | undefined },
  scope: Temporaries,
): Tensor {
  const width = kind === 'head' ? valueDim : 1
  const rows = (elementCount(attended.shape) / (heads * valueDim)) * (kind === 'head' ? heads : heads * valueDim)
  const logits = copied(backend, gate, scope, 'float32')
  const merged = backend.merge([
    { output: reshape(attended, [1, 1, rows, width]), lse: reshape(logits, [1, 1, rows]) },
    { output: broadcastTo(zero, [1, 1, rows, width]), lse: broadcastTo(zero, [1, 1, rows]) },
  ])
  if (merged.lse) scope.keep(merged.lse)
  return reshape(scope.keep(merged.output), attended.shape)
}

const zero: HostTensor = tensor([0], [1])
