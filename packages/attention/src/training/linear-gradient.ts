import {
  broadcastTo,
  elementCount,
  isContiguous,
  permute,
  reshape,
  tensor,
  type Backend,
  type OwnedTensor,
  type Tensor,
} from '@qkv/core'
import { copied } from '../copied.ts'
import type { WeightAndBias } from '../weights.ts'
import type { Temporaries } from '../temporaries.ts'

export interface LinearGradient {
  /** In the input's shape. */
  readonly dInput: OwnedTensor
  /** [outputs, inputs] */
  readonly dWeight: OwnedTensor
  /** [outputs]; undefined where none was added. */
  readonly dBias: OwnedTensor | undefined
}

/**
 * Back through y = x·Wᵀ + b: dx = dy·W, dW = dyᵀ·x, db = Σ dy, each a product that `linear` makes of transposed views.
 *
 * @param input x, [..., inputs]
 * @param projection W, [outputs, inputs], and b
 * @param dOutput dy, [..., outputs]
 */
export function linearGradient(
  backend: Backend,
  input: Tensor,
  projection: WeightAndBias,
  dOutput: Tensor,
  scope: Temporaries,
): LinearGradient {
  const { weight, bias } = projection
  const [x, dy] = [asRows(backend, input, scope), asRows(backend, dOutput, scope)]
  const columns = permute(dy, [1, 0])
  return {
    dInput: backend.linear(dOutput, permute(weight, [1, 0])),
    dWeight: backend.linear(columns, permute(x, [1, 0])),
    dBias: bias ? backend.linear(broadcastTo(one, [dy.shape[0] ?? 0]), columns) : undefined,
  }
}

/** [..., dim] as [rows, dim]: a view where it lies so in memory, else a copy. */
function asRows(backend: Backend, view: Tensor, scope: Temporaries): Tensor {
  const dim = view.shape.at(-1) ?? 1
  const rows = isContiguous(view) ? view : copied(backend, view, scope)
  return reshape(rows, [elementCount(view.shape.slice(0, -1)), dim])
}

const one = tensor([1], [1])
