import type { Backend, OwnedTensor, Tensor } from '@qkv/core'
import type { NormWeights } from './weights.ts'

/** RMSNorm or LayerNorm over the last axis, as the weights say. */
export function normalise(backend: Backend, hidden: Tensor, norm: NormWeights<Tensor>): OwnedTensor {
  return norm.kind === 'rms'
    ? backend.rmsNorm(hidden, norm.weight, norm.epsilon)
    : backend.layerNorm(hidden, norm.weight, norm.bias, norm.epsilon)
}
