import type { ProblemOptions, Tensor, Watch } from '@qkv/core'
import type { Positions } from '@qkv/positional'
import { attentionWithGradient } from '../gradient.ts'
import { embedded } from '../multi-head-attention/embedded.ts'
import { gated } from '../multi-head-attention/gate.ts'
import { joinHeads } from '../multi-head-attention/heads.ts'
import type { MultiHeadAttention } from '../multi-head-attention/multi-head-attention.ts'
import { Projections } from '../multi-head-attention/projections.ts'
import { placesOfBoth } from '../multi-head-attention/self-attention.ts'
import { checkPositions } from '../positions.ts'
import { checkShape } from '../refuse.ts'
import type { Temporaries } from '../temporaries.ts'
import { backward, type ForwardRecord, type LayerGradients } from './backward.ts'
import { differentiable, type Differentiable } from './differentiable.ts'
import { eachPart, pairsOf } from './parts.ts'

export interface TrainingOptions extends Watch, Pick<ProblemOptions, 'mask' | 'bias' | 'score' | 'lengths' | 'dropout'> {
  /** What to attend to instead of the input: an encoder's output [batch, memoryLength, memoryDim]. */
  readonly memory?: Tensor | undefined
  /** Where the input's tokens stand, for rotary positions and embeddings. */
  readonly positions?: Positions | undefined
}

/**
 * A layer's `forward`, and the backward pass: to its input, its memory and all its weights.
 *
 *     using result = await forwardWithGradient(layer, input)
 *     const { dInput, weights } = await result.backward(dOutput)        // weights['query.weight'], …
 *
 * All of it runs on the backend but the backward pass of query and key norms, and encodings that read queries and keys.
 *
 * @param input [batch, length, modelDim]
 * @throws QkvError as `forward` does.
 */
export async function forwardWithGradient(
  layer: MultiHeadAttention,
  input: Tensor,
  options: TrainingOptions = {},
): Promise<Differentiable<LayerGradients>> {
  check(layer, input, options)
  return differentiable(operation, async (scope) => {
    const record = await pass(layer, input, options, scope)
    return {
      output: record.projections.project('output', record.opened, scope),
      backward: (dOutput) => backward(record, dOutput),
    }
  })
}

const operation = 'forwardWithGradient'

async function pass(
  layer: MultiHeadAttention,
  vectors: Tensor,
  options: TrainingOptions,
  scope: Temporaries,
): Promise<ForwardRecord> {
  const { backend, config } = layer
  const { memory, positions, ...shared } = options
  const projections = new Projections(backend, config, pairsOf(layer))
  const embeddings = memory === undefined ? config.embeddings : []
  const tokens = positions ?? { start: 0, length: vectors.shape[1] ?? 0 }
  const input = embedded(backend, vectors, embeddings, () => tokens, scope)
  const projected = eachPart((name) => projections.project(name, name === 'query' ? input : (memory ?? input), scope))
  const { query, key, value } = eachPart((name) => projections.heads(name, projected[name], scope))
  const { scale, softcap, causal, window, position } = config
  const self = memory === undefined ? { causal, window, position, positions: placesOfBoth(position, positions) } : {}
  const sinks = layer.weight('sinks')
  const attended = scope.keep(
    await attentionWithGradient(query, key, value, { ...shared, ...self, scale, softcap, sinks, backend }),
  )
  const joined = joinHeads(backend, attended.output, scope)
  const gate = config.gate && projections.project('gate', input, scope)
  const opened = gate ? gated(backend, joined, gate, config, scope) : joined
  return { layer, projections, embeddings, tokens, input, memory, projected, attended, joined, opened, gate }
}

function check({ config }: MultiHeadAttention, input: Tensor, { memory, positions }: TrainingOptions): void {
  checkPositions(operation, memory === undefined ? [...config.position, ...config.embeddings] : [], positions)
  checkShape(operation, 'input', input.shape, [-1, -1, config.modelDim])
  if (memory !== undefined) checkShape(operation, 'memory', memory.shape, [input.shape[0] ?? 0, -1, config.memoryDim])
}
