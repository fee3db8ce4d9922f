import { isContiguous, mergeHeads, permute, reshape, splitHeads, type Backend, type Tensor } from '@qkv/core'
import { copied } from '../copied.ts'
import type { Temporaries } from '../temporaries.ts'

export interface HeadNorm {
  readonly kind: 'rms' | 'layer'
  readonly over: 'head' | 'heads'
  readonly epsilon: number
  readonly weight: Tensor
  readonly bias: Tensor | undefined
}

/** [batch, length, heads·dim] normalised, over each head or all of them, and seen as [batch, heads, length, dim]. */
export function normalisedHeads(backend: Backend, projected: Tensor, heads: number, norm: HeadNorm, scope: Temporaries): Tensor {
  const { kind, over, epsilon, weight, bias } = norm
  const byLength = (view: Tensor): Tensor => permute(view, [0, 2, 1, 3])
  const vectors = over === 'heads' ? projected : byLength(splitHeads(projected, heads))
  const rms = kind === 'rms'
  const normalised = scope.keep(rms ? backend.rmsNorm(vectors, weight, epsilon) : backend.layerNorm(vectors, weight, bias, epsilon))
  return over === 'heads' ? splitHeads(normalised, heads) : byLength(normalised)
}

/** [batch, heads, length, dim] as [batch, length, heads·dim]: a view where it lies so in memory, else a copy. */
export function joinHeads(backend: Backend, output: Tensor, scope: Temporaries): Tensor {
  const byLength = permute(output, [0, 2, 1, 3])
  if (isContiguous(byLength)) return mergeHeads(output)
  const [batch = 0, length = 0, heads = 0, dim = 0] = byLength.shape
  return reshape(copied(backend, byLength, scope), [batch, length, heads * dim])
}
