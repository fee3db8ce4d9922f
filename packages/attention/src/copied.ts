import type { Backend, Dtype, OwnedTensor, Tensor } from '@qkv/core'
import type { Temporaries } from './temporaries.ts'

/** A copy of a view, contiguous, and of another dtype where that is asked for. */
export function copied(backend: Backend, view: Tensor, scope: Temporaries, dtype: Dtype = view.dtype): OwnedTensor {
  const copy = scope.keep(backend.empty(view.shape, dtype))
  backend.copy(view, copy)
  return copy
}
