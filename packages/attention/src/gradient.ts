import { tensor, type Backend, type HostTensor, type OwnedTensor, type RotaryTable, type Tensor } from '@qkv/core'
import type { Positions, TurnedVectors } from '@qkv/positional'
import { compute, type AttentionOptions } from './attention.ts'
import type { Positioned } from './positioned.ts'
import { bringHome } from './positions.ts'
import { prepare } from './prepare.ts'
import { checkShape } from './refuse.ts'
import { allOrNone, type Temporaries } from './temporaries.ts'

/** Gradients in float32, contiguous, in the shapes of what they belong to; each is the caller's to dispose. */
export interface Gradients {
  readonly dq: OwnedTensor
  readonly dk: OwnedTensor
  readonly dv: OwnedTensor
  /** Broadcast axes kept at size 1; present when there was a bias. */
  readonly dBias: OwnedTensor | undefined
  /** [queryHeads]; present when there were sinks. */
  readonly dSinks: OwnedTensor | undefined
  /** For each captured float tensor of the score expression, and each of the encodings' `parameters`, in its shape. */
  readonly captured: ReadonlyMap<HostTensor, OwnedTensor>
}

/** An output that remembers how it came about; `dispose()` gives back both. */
export interface DifferentiableResult extends Disposable {
  /** [batch, queryHeads, queryLength, valueDim] */
  readonly output: OwnedTensor
  /** [batch, queryHeads, queryLength] */
  readonly lse: OwnedTensor
  /**
   * From the gradient of a loss with respect to the output, in the output's shape. May be called again. Runs in one go: the
   * options' `signal` and `onProgress` follow the way there alone.
   */
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
 * @throws QkvError as {@link attention} does.
 */
export async function attentionWithGradient(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions,
): Promise<DifferentiableResult> {
  const operation = 'attentionWithGradient'
  const { backend } = options
  const prepared = await prepare(operation, query, key, value, options)
  return allOrNone(async (scope) => {
    scope.keep(prepared)
    const forward = await compute(prepared.problem, { ...options, lse: true })
    const [output, lse] = [scope.keep(forward.output), scope.keep(forward.lse!)]
    return {
      output,
      lse,
      async backward(dOutput) {
        checkShape(operation, 'dOutput', dOutput.shape, output.shape)
        return allOrNone(async (made) => {
          const gradient = backend.attentionGradient(prepared.problem, { output, lse }, dOutput)
          const { dQuery, dKey, dValue, dBias, dSinks, captured } = gradient
          for (const one of [dQuery, dKey, dValue, dBias, dSinks, ...captured.values()]) if (one) made.keep(one)
          const inputs = await throughPositions(backend, prepared, { dq: dQuery, dk: dKey, captured }, made)
          return { ...inputs, dv: dValue, dBias, dSinks }
        })
      },
      dispose: scope.dispose,
      [Symbol.dispose]: scope.dispose,
    }
  })
}

/** Gradients of queries, keys and captured tensors, on one side of the encodings or the other. */
interface PositionGradient {
  readonly dq: OwnedTensor
  readonly dk: OwnedTensor
  readonly captured: ReadonlyMap<HostTensor, OwnedTensor>
}

/**
 * Back the way that queries and keys came: through the turns, last first, and through what followed content.
 *
 * @param made gives back what it keeps should anything fail
 */
async function throughPositions(
  backend: Backend,
  { turns, terms }: Pick<Positioned, 'turns' | 'terms'>,
  gradient: PositionGradient,
  made: Temporaries,
): Promise<PositionGradient> {
  let { dq, dk } = gradient
  const captured = new Map(gradient.captured)
  /** What several encodings learn, or an expression reads as well, has the sum of its gradients. */
  const add = (parameters: readonly HostTensor[], gradients: readonly HostTensor[]): void => {
    for (const [index, parameter] of parameters.entries()) {
      const own = made.keep(backend.upload(gradients[index]!))
      const others = captured.get(parameter)
      captured.set(parameter, others === undefined ? own : made.keep(backend.add(others, own)))
      if (others === undefined) continue
      others.dispose()
      own.dispose()
    }
  }
  const home = async (view: OwnedTensor): Promise<HostTensor> => {
    const values = await bringHome(backend, view)
    view.dispose()
    return values
  }

  for (const { encoding, places, tables, query, key } of turns.toReversed()) {
    if (encoding.parameters.length > 0) {
      const turned = async (positions: Positions, view: Tensor, d: Tensor): Promise<TurnedVectors> => ({
        positions,
        vectors: await bringHome(backend, view),
        gradient: await bringHome(backend, d),
      })
      add(encoding.parameters, encoding.gradient([await turned(places.query, query, dq), await turned(places.key, key, dk)]))
    }
    dq = made.keep(turnedBack(backend, dq, tables.query))
    dk = made.keep(turnedBack(backend, dk, tables.key))
  }
  for (const { encoding, made: content } of terms.toReversed()) {
    const own = new Map<HostTensor, HostTensor>()
    for (const part of content.captured) {
      own.set(part, await home(captured.get(part)!))
      captured.delete(part)
    }
    const back = content.backward({ dQuery: await home(dq), dKey: await home(dk), captured: own })
    dq = made.keep(backend.upload(back.dQuery))
    dk = made.keep(backend.upload(back.dKey))
    add(encoding.parameters, back.parameters)
  }
  return { dq, dk, captured }
}

/** A rotation passes gradients back by turning the other way: R(θ)ᵀ = R(−θ); a table's scaling, if any, stays. */
function turnedBack(backend: Backend, gradient: OwnedTensor, table: RotaryTable): OwnedTensor {
  const sin = backend.multiply(table.sin, minusOne)
  const turned = backend.rotate(gradient, { ...table, sin })
  sin.dispose()
  gradient.dispose()
  return turned
}

const minusOne: HostTensor = tensor([-1], [1])
