import { broadcastTo, permute, reshape, slice, splitHeads, tensor, type OwnedTensor, type Tensor, type Watch } from '@qkv/core'
import { attentionWithGradient, type DifferentiableResult } from '../gradient.ts'
import type { LatentAttention } from '../latent-attention/latent-attention.ts'
import { LatentProjections, sideBySide, type LatentKeys, type LatentQueries } from '../latent-attention/latent-projections.ts'
import { joinHeads } from '../multi-head-attention/heads.ts'
import { checkShape } from '../refuse.ts'
import type { Temporaries } from '../temporaries.ts'
import type { LayerGradients } from './backward.ts'
import { collectGradients, type CollectedGradients } from './collected-gradients.ts'
import { differentiable, type Differentiable } from './differentiable.ts'
import { pairsOf } from './parts.ts'

/**
 * The `forward` of a latent layer, without a cache, and the backward pass to its input and all its weights. The norms of latent
 * vectors go back on the host, all else on the backend.
 *
 * @param input [batch, length, modelDim]
 * @throws QkvError as `forward` does.
 */
export async function latentForwardWithGradient(
  layer: LatentAttention,
  input: Tensor,
  watch: Watch = {},
): Promise<Differentiable<LatentGradients>> {
  const { backend, config } = layer
  checkShape(operation, 'input', input.shape, [-1, -1, config.modelDim])
  return differentiable(operation, async (scope) => {
    const weights = pairsOf(layer)
    const projections = new LatentProjections(backend, config, weights)
    const [queries, keys] = [projections.queries(input, scope), projections.keys(input, scope)]
    const { query, key, value } = projections.spelledOut(queries, keys, scope)
    const { position, scale } = config
    const attended = scope.keep(
      await attentionWithGradient(query, key, value, { ...watch, backend, causal: true, position, scale }),
    )
    const joined = joinHeads(backend, attended.output, scope)
    const record = { layer, input, queries, keys, attended, joined }
    return {
      output: scope.keep(backend.linear(joined, weights.pair('output').weight)),
      backward: (dOutput) => backward(record, dOutput),
    }
  })
}

const operation = 'latentForwardWithGradient'

/** Gradients in float32, contiguous, in the shapes of what they belong to; each is the caller's to dispose. */
export type LatentGradients = Pick<LayerGradients, 'dInput' | 'weights'>

/** What the forward pass keeps for the backward pass. */
interface LatentRecord {
  readonly layer: LatentAttention
  readonly input: Tensor
  readonly queries: LatentQueries
  readonly keys: LatentKeys
  readonly attended: DifferentiableResult
  /** [batch, length, heads·valueDim] */
  readonly joined: Tensor
}

/** The backward pass, last step first: output projection, attention, heads' keys and values, latent vectors. */
async function backward(record: LatentRecord, dOutput: Tensor): Promise<LatentGradients> {
  const { layer, attended, joined } = record
  return collectGradients(layer.backend, async (collected, scope) => {
    const dJoined = scope.keep(collected.throughLinear('output', joined, pairsOf(layer).pair('output'), dOutput))
    const { dq, dk, dv } = await attended.backward(splitHeads(dJoined, layer.config.heads))
    for (const made of [dq, dk, dv]) scope.keep(made)
    const fromQueries = await throughQueries(record, dq, collected, scope)
    const fromKeys = await throughKeys(record, dk, dv, collected, scope)
    return { dInput: collected.sum([fromQueries, fromKeys]), weights: collected.weights }
  })
}

/** @param dq [batch, heads, length, rotaryDim + contentDim] */
async function throughQueries(
  { layer, input, queries: { latent } }: LatentRecord,
  dq: Tensor,
  collected: CollectedGradients,
  scope: Temporaries,
): Promise<OwnedTensor> {
  const { backend, config } = layer
  const { pair } = pairsOf(layer)
  const { turning, content } = parts(dq, config)
  const dProjected = joinHeads(backend, sideBySide(backend, config.heads, [content, turning], scope), scope)
  if (latent === undefined) return collected.throughLinear('query', input, pair('query'), dProjected)
  const dLatent = scope.keep(collected.throughLinear('queryUp', latent.after, pair('queryUp'), dProjected))
  const dBefore = await collected.throughNorm('queryNorm', latent.before, pair('queryNorm'), rms(config), dLatent)
  return collected.throughLinear('queryDown', input, pair('queryDown'), dBefore)
}

/** @param dk [batch, heads, length, rotaryDim + contentDim] @param dv [batch, heads, length, valueDim] */
async function throughKeys(
  { layer, input, keys: { latent } }: LatentRecord,
  dk: Tensor,
  dv: Tensor,
  collected: CollectedGradients,
  scope: Temporaries,
): Promise<OwnedTensor> {
  const { backend, config } = layer
  const { pair } = pairsOf(layer)
  const { turning, content } = parts(dk, config)
  const dKeyValue = joinHeads(backend, sideBySide(backend, config.heads, [content, dv], scope), scope)
  const dLatent = scope.keep(collected.throughLinear('keyValue', latent.after, pair('keyValue'), dKeyValue))
  const dBefore = await collected.throughNorm('latentNorm', latent.before, pair('latentNorm'), rms(config), dLatent)

  // All heads read one key: it receives their sum.
  const [batch = 0, heads = 0, length = 0, rotaryDim = 0] = turning.shape
  const summed = scope.keep(backend.linear(permute(turning, [0, 2, 3, 1]), broadcastTo(one, [1, heads])))
  const dShared = reshape(summed, [batch, 1, length, rotaryDim])
  const dCompressed = joinHeads(backend, sideBySide(backend, 1, [splitHeads(dBefore, 1), dShared], scope), scope)
  return collected.throughLinear('latent', input, pair('latent'), dCompressed)
}

function parts(gradient: Tensor, { contentDim, rotaryDim }: LatentAttention['config']): Record<'turning' | 'content', Tensor> {
  return { turning: slice(gradient, 3, 0, rotaryDim), content: slice(gradient, 3, rotaryDim, rotaryDim + contentDim) }
}

function rms({ epsilon }: LatentAttention['config']): { kind: 'rms'; epsilon: number } {
  return { kind: 'rms', epsilon }
}

const one = tensor([1], [1])
