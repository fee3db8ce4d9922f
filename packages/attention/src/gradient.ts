import { tensor, type AttentionResult, type HostTensor, type OwnedTensor, type RotaryTable, type Tensor } from '@qkv/core'
import { compute, type AttentionOptions } from './attention.ts'
import { prepare } from './prepare.ts'
import { checkShape, invalid, refused } from './refuse.ts'

/** Gradients in float32, contiguous, in the shapes of what they belong to; each is the caller's to dispose. */
export interface Gradients {
  readonly dq: OwnedTensor
  readonly dk: OwnedTensor
  readonly dv: OwnedTensor
  /** Broadcast axes kept at size 1; present when there was a bias. */
  readonly dBias: OwnedTensor | undefined
  /** [queryHeads]; present when there were sinks. */
  readonly dSinks: OwnedTensor | undefined
  /** For each captured float tensor of the score expression or position encoding, in its shape. */
  readonly captured: ReadonlyMap<HostTensor, OwnedTensor>
}

/** An output that remembers how it came about; `dispose()` gives back both. */
export interface DifferentiableResult extends Disposable {
  /** [batch, queryHeads, queryLength, valueDim] */
  readonly output: OwnedTensor
  /** [batch, queryHeads, queryLength] */
  readonly lse: OwnedTensor
  /** From the gradient of a loss with respect to the output, in the output's shape. May be called again. */
  backward(dOutput: Tensor): Promise<Gradients>
  dispose(): void
}

/**
 * {@link attention}, and the way back. The weights are computed again in the backward pass instead of kept: memory
 * grows with the length, not with its square.
 *
 *     const { output, backward } = await attentionWithGradient(query, key, value, { backend, causal: true })
 *     const { dq, dk, dv } = await backward(dOutput)
 *
 * @throws QkvError as {@link attention} does; `OPTION_INVALID` for a position encoding that follows content.
 */
export async function attentionWithGradient(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions,
): Promise<DifferentiableResult> {
  const operation = 'attentionWithGradient'
  const { backend, position } = options
  if (position?.kind === 'score' && position.follows === 'content') {
    throw invalid(operation, 'position', 'an encoding that follows positions alone', 'one that follows content')
  }
  const prepared = await prepare(operation, query, key, value, options)
  let forward: AttentionResult
  try {
    forward = await compute(prepared.problem, { ...options, lse: true })
  } catch (error) {
    prepared.dispose()
    throw error
  }
  const { output, lse } = forward
  if (lse === undefined) throw refused('INTERNAL', operation, 'lse', 'what was asked of the backend', 'undefined')

  /** A rotation passes gradients back by turning the other way: R(θ)ᵀ = R(−θ); a table's scaling, if any, stays. */
  const turnedBack = (gradient: OwnedTensor, table: RotaryTable | undefined): OwnedTensor => {
    if (table === undefined) return gradient
    const sin = backend.multiply(table.sin, minusOne)
    const turned = backend.rotate(gradient, { ...table, sin })
    sin.dispose()
    gradient.dispose()
    return turned
  }

  const result: DifferentiableResult = {
    output,
    lse,
    async backward(dOutput) {
      checkShape(operation, 'dOutput', dOutput.shape, output.shape)
      const gradient = backend.attentionGradient(prepared.problem, { output, lse }, dOutput)
      return {
        dq: turnedBack(gradient.dQuery, prepared.rotary?.query),
        dk: turnedBack(gradient.dKey, prepared.rotary?.key),
        dv: gradient.dValue,
        dBias: gradient.dBias,
        dSinks: gradient.dSinks,
        captured: gradient.captured,
      }
    },
    dispose() {
      prepared.dispose()
      output.dispose()
      lse.dispose()
    },
    [Symbol.dispose]() {
      result.dispose()
    },
  }
  return result
}

const minusOne: HostTensor = tensor([-1], [1])
