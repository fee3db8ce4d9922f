import {
  broadcastTo,
  elementCount,
  reshape,
  slice,
  splitHeads,
  tensor,
  toFloat64,
  type HostTensor,
  type OwnedTensor,
  type Tensor,
} from '@qkv/core'
import { gated } from '../multi-head-attention/gate.ts'
import { joinHeads } from '../multi-head-attention/heads.ts'
import { fusedRows, weightShapes } from '../multi-head-attention/options.ts'
import type { ProjectionName } from '../multi-head-attention/projections.ts'
import { bringHome } from '../positions.ts'
import { temporaries, withTemporaries, type Temporaries } from '../temporaries.ts'
import type { ForwardRecord } from './forward-with-gradient.ts'
import { linearGradient } from './linear-gradient.ts'
import { normGradient } from './norm-gradient.ts'

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
  const { layer, input, memory, attended, opened, gate } = record
  const { backend, config } = layer
  const results = temporaries()
  try {
    return await withTemporaries(async (scope) => {
      const collected = new Collected(record, results, scope)
      const dOpened = scope.keep(collected.through('output', opened, dOutput))
      const dJoined = gate ? gated(backend, dOpened, gate, config, scope) : dOpened
      const { dq, dk, dv, dBias, dSinks, captured } = await attended.backward(splitHeads(dJoined, config.heads))
      for (const made of [dBias, ...captured.values()]) if (made) results.keep(made)
      for (const made of [dq, dk, dv]) scope.keep(made)
      if (dSinks) collected.weight('sinks', dSinks)

      const attendedTo = memory ?? input
      const dQuery = await throughNorm(record, 'query', dq, collected, scope)
      const dKey = await throughNorm(record, 'key', dk, collected, scope)
      const fromQuery = [collected.through('query', input, dQuery)]
      if (gate) fromQuery.push(collected.through('gate', input, gateGradient(record, gate, dOpened, scope)))
      const fromKeys = [
        collected.through('key', attendedTo, dKey),
        collected.through('value', attendedTo, joinHeads(backend, dv, scope)),
      ]
      const dInput = collected.sum(memory === undefined ? [...fromQuery, ...fromKeys] : fromQuery)
      const dMemory = memory && collected.sum(fromKeys)
      return { dInput, dMemory, weights: collected.weights, dBias, captured }
    })
  } catch (error) {
    results.dispose()
    throw error
  }
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
async function throughNorm(
  { layer, projected }: ForwardRecord,
  name: 'query' | 'key',
  dHeads: Tensor,
  collected: Collected,
  scope: Temporaries,
): Promise<Tensor> {
  const { backend, config } = layer
  const gradient = joinHeads(backend, dHeads, scope)
  if (config.queryKeyNorm === undefined) return gradient
  const home = async (view: Tensor): Promise<Float64Array> => toFloat64(await bringHome(backend, view))
  const weight = layer.weight(`${name}Norm.weight`)!
  const { dInput, dWeight, dBias } = normGradient(
    await home(projected[name]),
    await home(weight),
    await home(gradient),
    config.queryKeyNorm,
  )
  const upload = (values: Float64Array, shape: readonly number[]): OwnedTensor =>
    backend.upload(tensor(Float32Array.from(values), shape))
  collected.weight(`${name}Norm.weight`, upload(dWeight, weight.shape))
  if (layer.weight(`${name}Norm.bias`)) collected.weight(`${name}Norm.bias`, upload(dBias, weight.shape))
  return scope.keep(upload(dInput, gradient.shape))
}

/** What the steps back have given so far. */
class Collected {
  readonly weights: Record<string, OwnedTensor> = {}
  readonly #record: ForwardRecord
  readonly #results: Temporaries
  readonly #scope: Temporaries

  /** @param results gives back what it keeps should anything fail */
  constructor(record: ForwardRecord, results: Temporaries, scope: Temporaries) {
    this.#record = record
    this.#results = results
    this.#scope = scope
  }

  /** Back through a projection of `from`. @returns what `from` receives. */
  through(name: ProjectionName, from: Tensor, dOutput: Tensor): OwnedTensor {
    const { layer, projections } = this.#record
    const { dInput, dWeight, dBias } = linearGradient(layer.backend, from, projections.pair(name), dOutput, this.#scope)
    this.#results.keep(dInput)
    this.#part(name, 'weight', dWeight)
    if (dBias) this.#part(name, 'bias', dBias)
    return dInput
  }

  weight(name: string, gradient: OwnedTensor): void {
    this.weights[name] = this.#results.keep(gradient)
  }

  /** All that an input received, in place of its parts. */
  sum(parts: readonly OwnedTensor[]): OwnedTensor {
    return parts.reduce((total, part) => {
      const sum = this.#results.keep(this.#record.layer.backend.add(total, part))
      total.dispose()
      part.dispose()
      return sum
    })
  }

  /** The gradient of a weight, or of its rows of a fused one. */
  #part(name: ProjectionName, kind: 'weight' | 'bias', gradient: OwnedTensor): void {
    const { backend, config } = this.#record.layer
    if (!config.fused || name === 'output' || name === 'gate') return this.weight(`${name}.${kind}`, gradient)
    const whole = `queryKeyValue.${kind}`
    if (!(whole in this.weights)) this.weight(whole, backend.empty(weightShapes(config)[whole]!))
    backend.copy(gradient, slice(this.weights[whole]!, 0, ...fusedRows(config)[name]))
    gradient.dispose()
  }
}

const one: HostTensor = tensor([1], [1])
const minusOne: HostTensor = tensor([-1], [1])
