import type { OwnedTensor, ProblemOptions, Tensor, Watch } from '@qkv/core'
import type { Positions } from '@qkv/positional'
import { attentionWithGradient, type DifferentiableResult } from '../gradient.ts'
import { gated } from '../multi-head-attention/gate.ts'
import { joinHeads } from '../multi-head-attention/heads.ts'
import type { MultiHeadAttention } from '../multi-head-attention/multi-head-attention.ts'
import type { Projections } from '../multi-head-attention/projections.ts'
import { checkPositions } from '../positions.ts'
import { checkShape } from '../refuse.ts'
import { temporaries, type Temporaries } from '../temporaries.ts'
import { backward, type LayerGradients } from './backward.ts'
import { eachPart, projectionsOf, type Parts } from './parts.ts'

export interface TrainingOptions extends Watch, Pick<ProblemOptions, 'mask' | 'bias' | 'score' | 'lengths' | 'dropout'> {
  /** What to attend to instead of the input: an encoder's output [batch, memoryLength, memoryDim]. */
  readonly memory?: Tensor | undefined
  /** Where the input's tokens stand, for a rotary position. */
  readonly positions?: Positions | undefined
}

/** An output that remembers how it came about; `dispose()` gives back both. */
export interface DifferentiableForward extends Disposable {
  /** [batch, length, modelDim] */
  readonly output: OwnedTensor
  /** From the gradient of a loss with respect to the output, in the output's shape. May be called again. */
  backward(dOutput: Tensor): Promise<LayerGradients>
  dispose(): void
}

/** What the forward pass keeps for the backward pass. */
export interface ForwardRecord {
  readonly layer: MultiHeadAttention
  readonly projections: Projections
  readonly input: Tensor
  readonly memory: Tensor | undefined
  /** Before norms, [batch, length, outputs]. */
  readonly projected: Parts
  readonly attended: DifferentiableResult
  /** [batch, length, heads·valueDim], before the gate and after it. */
  readonly joined: Tensor
  readonly opened: Tensor
  /** What the gate was made of, where there is one. */
  readonly gate: Tensor | undefined
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
): Promise<DifferentiableForward> {
  check(layer, input, options)
  const scope = temporaries()
  try {
    const record = await pass(layer, input, options, scope)
    const result: DifferentiableForward = {
      output: record.projections.project('output', record.opened, scope),
      async backward(dOutput) {
        checkShape('forwardWithGradient', 'dOutput', dOutput.shape, input.shape)
        return backward(record, dOutput)
      },
      dispose: scope.dispose,
      [Symbol.dispose]: scope.dispose,
    }
    return result
  } catch (error) {
    scope.dispose()
    throw error
  }
}

async function pass(
  layer: MultiHeadAttention,
  input: Tensor,
  options: TrainingOptions,
  scope: Temporaries,
): Promise<ForwardRecord> {
  const { backend, config } = layer
  const { memory, positions, ...shared } = options
  const projections = projectionsOf(layer)
  const projected = eachPart((name) => projections.project(name, name === 'query' ? input : (memory ?? input), scope))
  const { query, key, value } = eachPart((name) => projections.heads(name, projected[name], scope))
  const { scale, softcap, causal, window, position } = config
  const places = positions && { query: positions, key: positions }
  const self = memory === undefined ? { causal, window, position, positions: places } : {}
  const sinks = layer.weight('sinks')
  const attended = scope.keep(
    await attentionWithGradient(query, key, value, { ...shared, ...self, scale, softcap, sinks, backend }),
  )
  const joined = joinHeads(backend, attended.output, scope)
  const gate = config.gate && projections.project('gate', input, scope)
  const opened = gate ? gated(backend, joined, gate, config, scope) : joined
  return { layer, projections, input, memory, projected, attended, joined, opened, gate }
}

function check({ config }: MultiHeadAttention, input: Tensor, { memory, positions }: TrainingOptions): void {
  const operation = 'forwardWithGradient'
  checkPositions(operation, memory === undefined ? config.position : [], positions)
  checkShape(operation, 'input', input.shape, [-1, -1, config.modelDim])
  if (memory !== undefined) checkShape(operation, 'memory', memory.shape, [input.shape[0] ?? 0, -1, config.memoryDim])
}
