import { permute, slice, type HostTensor } from '@qkv/core'
import type { RotaryEncoding } from '@qkv/positional'
import type { MultiHeadAttention } from '../multi-head-attention/multi-head-attention.ts'
import { fusedRows, type MultiHeadConfig } from '../multi-head-attention/options.ts'
import { bringHome } from '../positions.ts'
import { checkCount, invalid } from '../refuse.ts'
import { GraphBuilder } from './graph-builder.ts'
import { onnxModel, type OnnxValue } from './model.ts'

export interface ExportOptions {
  /** Takes and returns keys and values of earlier tokens, to generate token by token. Default false. */
  readonly cache?: boolean | undefined
  /** How many positions a rotary table covers; default 4096. */
  readonly maximumLength?: number | undefined
}

/**
 * A layer of self-attention as an ONNX model, weights included, for onnxruntime or any inference server that runs ONNX:
 * the operators `Attention` and `RotaryEmbedding` of version 23, which give what the layer gives, to rounding.
 *
 *     inputs    input [batch, length, modelDim]                  with a rotary position: positions int64 [batch, length]
 *               with a cache: past_key, past_value [batch, kvHeads, past, headDim or valueDim]
 *     outputs   output [batch, length, modelDim]                 with a cache: present_key, present_value
 *
 * @throws QkvError `OPTION_INVALID` naming what the operators cannot express: a window, gate, sinks, a score encoding, an embedding,
 * a rotary whose frequencies follow the length (dynamic, longrope) or differ by head.
 */
export async function exportAttentionLayer(layer: MultiHeadAttention, options: ExportOptions = {}): Promise<Uint8Array> {
  const { cache = false, maximumLength = 4096 } = options
  checkCount('exportAttentionLayer', 'maximumLength', maximumLength)
  const { config } = layer
  const rotary = checkExpressible(config, cache)
  const graph = new GraphBuilder()
  const weights = separate(await layer.state(), config)
  const turn = async (name: 'query' | 'key'): Promise<Turn | undefined> => {
    if (rotary === undefined) return undefined
    const { cos, sin } = rotary.table({ start: 0, length: maximumLength }, name)
    const cosines = graph.constant(`${name}.cosines`, await bringHome(layer.backend, cos))
    return { rotary, cosines, sines: graph.constant(`${name}.sines`, await bringHome(layer.backend, sin)) }
  }
  const query = queryOrKey(graph, 'query', config, weights, await turn('query'))
  const key = queryOrKey(graph, 'key', config, weights, await turn('key'))
  attend(graph, [query, key, project(graph, 'value', 'input', weights)], config, cache)
  graph.step('Identity', [project(graph, 'output', 'attended', weights)], 'output')
  const { nodes, constants } = graph
  return onnxModel({ nodes, constants, ...inputsAndOutputs(config, cache, rotary !== undefined) })
}

/** A rotary encoding with the names of its tables. */
interface Turn {
  readonly rotary: RotaryEncoding
  readonly cosines: string
  readonly sines: string
}

type Weights = Readonly<Record<string, HostTensor>>

function project(graph: GraphBuilder, name: string, input: string, weights: Weights): string {
  const transposed = graph.constant(`${name}.weight`, permute(weights[`${name}.weight`]!, [1, 0]))
  const product = graph.step('MatMul', [input, transposed], `${name}.product`)
  const bias = weights[`${name}.bias`]
  return bias ? graph.step('Add', [product, graph.constant(`${name}.bias`, bias)], `${name}.projected`) : product
}

/** Projected, normalised and rotated, as the layer does: [batch, length, heads·headDim]. */
function queryOrKey(
  graph: GraphBuilder,
  name: 'query' | 'key',
  config: MultiHeadConfig,
  weights: Weights,
  turn: Turn | undefined,
): string {
  const heads = name === 'query' ? config.heads : config.kvHeads
  const projected = project(graph, name, 'input', weights)
  const normalised = normalise(graph, `${name}Norm`, projected, heads, config, weights)
  if (turn === undefined) return normalised
  const { rotary, cosines, sines } = turn
  return graph.step('RotaryEmbedding', [normalised, cosines, sines, 'positions'], `${name}.rotated`, {
    num_heads: heads,
    interleaved: rotary.layout === 'interleaved' ? 1 : 0,
    rotary_embedding_dim: rotary.dim,
  })
}

function normalise(
  graph: GraphBuilder,
  name: string,
  input: string,
  heads: number,
  config: MultiHeadConfig,
  weights: Weights,
): string {
  const { queryKeyNorm, headDim } = config
  if (queryKeyNorm === undefined) return input
  const { kind, over, epsilon } = queryKeyNorm
  const vectors = over === 'head' ? graph.reshape(input, [0, 0, heads, headDim], `${name}.heads`) : input
  const parameters = [`${name}.weight`, `${name}.bias`]
    .filter((each) => weights[each])
    .map((each) => graph.constant(each, weights[each]!))
  const operator = kind === 'rms' ? 'RMSNormalization' : 'LayerNormalization'
  const normed = graph.step(operator, [vectors, ...parameters], `${name}.normed`, { axis: -1, epsilon: { float: epsilon } })
  return over === 'head' ? graph.reshape(normed, [0, 0, heads * headDim], `${name}.joined`) : normed
}

function attend(graph: GraphBuilder, inputs: readonly string[], config: MultiHeadConfig, cache: boolean): void {
  const { heads, kvHeads, headDim, scale = 1 / Math.sqrt(headDim), softcap, causal } = config
  graph.nodes.push({
    operator: 'Attention',
    inputs: [...inputs, ...(cache ? ['', 'past_key', 'past_value'] : [])],
    outputs: ['attended', ...(cache ? ['present_key', 'present_value'] : [])],
    attributes: {
      q_num_heads: heads,
      kv_num_heads: kvHeads,
      is_causal: cache || causal ? 1 : 0,
      scale: { float: scale },
      ...(softcap === undefined ? {} : { softcap: { float: softcap } }),
    },
  })
}

function inputsAndOutputs(config: MultiHeadConfig, cache: boolean, rotary: boolean): { inputs: OnnxValue[]; outputs: OnnxValue[] } {
  const { modelDim, kvHeads, headDim, valueDim } = config
  const vectors = (name: string): OnnxValue => ({ name, type: 'float32', shape: ['batch', 'length', modelDim] })
  const cached = (when: string): OnnxValue[] => [
    { name: `${when}_key`, type: 'float32', shape: ['batch', kvHeads, when, headDim] },
    { name: `${when}_value`, type: 'float32', shape: ['batch', kvHeads, when, valueDim] },
  ]
  const positions: OnnxValue = { name: 'positions', type: 'int64', shape: ['batch', 'length'] }
  return {
    inputs: [vectors('input'), ...(rotary ? [positions] : []), ...(cache ? cached('past') : [])],
    outputs: [vectors('output'), ...(cache ? cached('present') : [])],
  }
}

/** A fused projection as the three it is made of. */
function separate(state: Weights, config: MultiHeadConfig): Weights {
  if (!config.fused) return state
  const weights: Record<string, HostTensor> = { ...state }
  for (const part of ['weight', 'bias']) {
    const all = state[`queryKeyValue.${part}`]
    if (all === undefined) continue
    for (const [name, rows] of Object.entries(fusedRows(config))) weights[`${name}.${part}`] = slice(all, 0, ...rows)
  }
  return weights
}

/** @returns the rotary position, if there is one. */
function checkExpressible(config: MultiHeadConfig, cache: boolean): RotaryEncoding | undefined {
  const { window, gate, sinks, position, embeddings, modelDim, memoryDim, causal } = config
  const refuse = (option: string, received: string): never => {
    throw invalid('exportAttentionLayer', option, 'absent, for ONNX’s Attention has none', received)
  }
  if (window !== undefined) refuse('window', 'a window')
  if (gate !== undefined) refuse('gate', `a gate per ${gate}`)
  if (sinks) refuse('sinks', 'sinks')
  if (memoryDim !== modelDim) refuse('memoryDim', `${memoryDim}, for cross-attention`)
  if (cache && causal === 'upper-left') refuse('causal', "'upper-left' with a cache")
  if (embeddings.length > 0) refuse('position', 'an embedding')
  const [first, ...others] = position
  if (others.length > 0) return refuse('position', 'several encodings')
  if (first?.kind === 'score') return refuse('position', 'a score encoding')
  if (first?.followsLength) return refuse('position', 'frequencies that follow the length')
  if (first && first.parameters.length > 0) return refuse('position', 'frequencies of each head')
  return first
}
