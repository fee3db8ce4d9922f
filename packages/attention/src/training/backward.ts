import {
  broadcastTo,
  elementCount,
  reshape,
  slice,
  splitHeads,
  tensor,
  type HostTensor,
  type OwnedTensor,
  type Tensor,
} from '@qkv/core'
import type { EmbeddingEncoding, Positions } from '@qkv/positional'
import type { DifferentiableResult } from '../gradient.ts'
import { gated } from '../multi-head-attention/gate.ts'
import { joinHeads } from '../multi-head-attention/heads.ts'
import type { MultiHeadAttention } from '../multi-head-attention/multi-head-attention.ts'
import { fusedRows, weightShapes } from '../multi-head-attention/options.ts'
import type { ProjectionName, Projections } from '../multi-head-attention/projections.ts'
import { bringHome } from '../positions.ts'
import type { Temporaries } from '../temporaries.ts'
import { collectGradients, type CollectedGradients } from './collected-gradients.ts'
import { pairsOf, type Parts } from './parts.ts'

/** What the forward pass keeps for the backward pass. */
export interface ForwardRecord {
  readonly layer: MultiHeadAttention
  readonly projections: Projections
  /** What was added to the layer's input, and where its tokens stand. */
  readonly embeddings: readonly EmbeddingEncoding[]
  readonly tokens: Positions
  /** With what was added. */
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

/** Gradients in float32, contiguous, in the shapes of what they belong to; each is the caller's to dispose. */
export interface LayerGradients {
  readonly dInput: OwnedTensor
  /** Present when there was a memory. */
  readonly dMemory: OwnedTensor | undefined
  /** By the names of the layer's weights, one for each. */
  readonly weights: Readonly<Record<string, OwnedTensor>>
  /** Of the option `bias`, broadcast axes kept at size 1. */
  readonly dBias: OwnedTensor | undefined
  /** For each captured float tensor of the score expression, and each of the encodings' `parameters`. */
  readonly captured: ReadonlyMap<HostTensor, OwnedTensor>
}

/** The backward pass, last step first: output projection, gate, attention, norms, projections. */
export async function backward(record: ForwardRecord, dOutput: Tensor): Promise<LayerGradients> {
  const { layer, projections, input, memory, attended, opened, gate } = record
  const { backend, config } = layer
  return collectGradients(backend, async (collected, scope) => {
    const through = (name: ProjectionName, from: Tensor, gradient: Tensor): OwnedTensor =>
      collected.throughLinear(name, from, projections.pair(name), gradient)
    const dOpened = scope.keep(through('output', opened, dOutput))
    const dJoined = gate ? gated(backend, dOpened, gate, config, scope) : dOpened
    const { dq, dk, dv, dBias, dSinks, captured } = await attended.backward(splitHeads(dJoined, config.heads))
    for (const made of [dBias, ...captured.values()]) if (made) collected.keep(made)
    for (const made of [dq, dk, dv]) scope.keep(made)
    if (dSinks) collected.weight('sinks', dSinks)

    const attendedTo = memory ?? input
    const dQuery = await throughHeadNorm(record, 'query', dq, collected, scope)
    const dKey = await throughHeadNorm(record, 'key', dk, collected, scope)
    const fromQuery = [through('query', input, dQuery)]
    if (gate) fromQuery.push(through('gate', input, gateGradient(record, gate, dOpened, scope)))
    const fromKeys = [through('key', attendedTo, dKey), through('value', attendedTo, joinHeads(backend, dv, scope))]
    if (config.fused) fuse(layer, collected)
    const dInput = collected.sum(memory === undefined ? [...fromQuery, ...fromKeys] : fromQuery)
    const dMemory = memory && collected.sum(fromKeys)
    const learned = await throughEmbeddings(record, dInput, captured, collected)
    return { dInput, dMemory, weights: collected.weights, dBias, captured: learned }
  })
}

/** What was added passes gradients on as they are. @returns `captured` with those of the embeddings' tables. */
async function throughEmbeddings(
  { layer: { backend }, embeddings, tokens }: ForwardRecord,
  dInput: Tensor,
  captured: ReadonlyMap<HostTensor, OwnedTensor>,
  collected: CollectedGradients,
): Promise<ReadonlyMap<HostTensor, OwnedTensor>> {
  const learned = new Map(captured)
  for (const embedding of embeddings.filter(({ parameters }) => parameters.length > 0)) {
    const gradients = embedding.gradient(tokens, await bringHome(backend, dInput))
    embedding.parameters.forEach((table, index) => {
      const own = collected.keep(backend.upload(gradients[index]!))
      const others = learned.get(table)
      learned.set(table, others ? collected.sum([others, own]) : own)
    })
  }
  return learned
}

/** dgate = Σ dy·y·σ(gate)·σ(−gate), over the elements that share a gate; y being what was gated. */
function gateGradient({ layer, joined }: ForwardRecord, gate: Tensor, dOpened: Tensor, scope: Temporaries): Tensor {
  const { backend, config } = layer
  const product = scope.keep(backend.multiply(dOpened, joined))
  const opposite = scope.keep(backend.multiply(gate, minusOne))
  const slopes = gated(backend, gated(backend, product, gate, config, scope), opposite, config, scope)
  if (config.gate === 'element') return slopes
  const rows = reshape(slopes, [elementCount(gate.shape), config.valueDim])
  return reshape(scope.keep(backend.linear(rows, broadcastTo(one, [1, config.valueDim]))), gate.shape)
}

/** From the gradient of heads to that of what was projected, [batch, length, heads·headDim]. */
async function throughHeadNorm(
  { layer, projected }: ForwardRecord,
  name: 'query' | 'key',
  dHeads: Tensor,
  collected: CollectedGradients,
  scope: Temporaries,
): Promise<Tensor> {
  const gradient = joinHeads(layer.backend, dHeads, scope)
  const { queryKeyNorm } = layer.config
  if (queryKeyNorm === undefined) return gradient
  return collected.throughNorm(`${name}Norm`, projected[name], pairsOf(layer).pair(`${name}Norm`), queryKeyNorm, gradient)
}

/** The weights of a fused projection are rows of one, and so are their gradients. */
function fuse({ backend, config }: MultiHeadAttention, collected: CollectedGradients): void {
  for (const kind of ['weight', 'bias']) {
    const name = `queryKeyValue.${kind}`
    const shape = weightShapes(config)[name]
    if (shape === undefined) continue
    const whole = backend.empty(shape)
    collected.weight(name, whole)
    for (const [part, rows] of Object.entries(fusedRows(config))) {
      const gradient = collected.take(`${part}.${kind}`)
      if (gradient) backend.copy(gradient, slice(whole, 0, ...rows))
    }
  }
}

const one: HostTensor = tensor([1], [1])
const minusOne: HostTensor = tensor([-1], [1])
