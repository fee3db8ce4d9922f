import type { Backend, OwnedTensor, Tensor } from '@qkv/core'
import type { FeedForwardWeights, LinearWeights } from './weights.ts'

/** The part of a block that looks at each token by itself: [batch, length, modelDim] to the same. */
export function feedForward(backend: Backend, hidden: Tensor, weights: FeedForwardWeights<Tensor>): OwnedTensor {
  using inner = weights.kind === 'gated' ? gated(backend, hidden, weights) : plain(backend, hidden, weights)
  return linear(backend, inner, weights.down)
}

type Gated = Extract<FeedForwardWeights<Tensor>, { kind: 'gated' }>
type Plain = Extract<FeedForwardWeights<Tensor>, { kind: 'plain' }>

function gated(backend: Backend, hidden: Tensor, { gate, up, activation }: Gated): OwnedTensor {
  using opening = linear(backend, hidden, gate)
  using opened = backend.activate(opening, activation)
  using raised = linear(backend, hidden, up)
  return backend.multiply(opened, raised)
}

function plain(backend: Backend, hidden: Tensor, { up, activation }: Plain): OwnedTensor {
  using raised = linear(backend, hidden, up)
  return backend.activate(raised, activation)
}

export function linear(backend: Backend, input: Tensor, { weight, bias }: LinearWeights<Tensor>): OwnedTensor {
  return backend.linear(input, weight, bias)
}
