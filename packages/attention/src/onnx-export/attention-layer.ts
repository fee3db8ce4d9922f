import { permute, slice, toFloat32, type HostTensor } from '@qkv/core'
import type { MultiHeadAttention } from '../multi-head-attention/multi-head-attention.ts'
import type { MultiHeadConfig } from '../multi-head-attention/options.ts'
import { bringHome } from '../positions.ts'
import { checkCount, refused } from '../refuse.ts'
import { onnxModel, type OnnxConstant, type OnnxGraph, type OnnxNode, type OnnxValue } from './model.ts'

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
 * @throws QkvError `OPTION_INVALID` naming what the operators cannot express: a window, gate, sinks, a score encoding.
 */
export async function exportAttentionLayer(layer: MultiHeadAttention, options: ExportOptions = {}): Promise<Uint8Array> {
  const { cache = false, maximumLength = 4096 } = options
  checkCount('exportAttentionLayer', 'maximumLength', maximumLength)
  checkExpressible(layer.config, cache)
  return onnxModel(await graphOf(layer, cache, maximumLength))
}

async function graphOf(layer: MultiHeadAttention, cache: boolean, maximumLength: number): Promise<OnnxGraph> {
  const { config } = layer
  const { modelDim, heads, kvHeads, headDim, valueDim, queryKeyNorm, position } = config
  const weights = separate(await layer.state(), config)
  const constants: OnnxConstant[] = []
  const nodes: OnnxNode[] = []

  const constant = (name: string, view: HostTensor): string => {
    constants.push({ name, shape: view.shape, values: toFloat32(view) })
    return name
  }
  const step = (operator: string, inputs: readonly string[], output: string, attributes?: OnnxNode['attributes']): string => {
    nodes.push({ operator, inputs, outputs: [output], attributes })
    return output
  }
  const project = (name: string, input: string): string => {
    const product = step('MatMul', [input, constant(`${name}.weight`, permute(weights[`${name}.weight`]!, [1, 0]))], `${name}.product`)
    const bias = weights[`${name}.bias`]
    return bias ? step('Add', [product, constant(`${name}.bias`, bias)], `${name}.projected`) : product
  }
  const reshape = (input: string, sizes: readonly number[], output: string): string => {
    constants.push({ name: `${output}.shape`, shape: [sizes.length], values: BigInt64Array.from(sizes, BigInt) })
    return step('Reshape', [input, `${output}.shape`], output)
  }
  const normalise = (name: 'queryNorm' | 'keyNorm', count: number, input: string): string => {
    if (queryKeyNorm === undefined) return input
    const { kind, over, epsilon } = queryKeyNorm
    const vectors = over === 'head' ? reshape(input, [0, 0, count, headDim], `${name}.heads`) : input
    const parameters = [`${name}.weight`, `${name}.bias`].filter((each) => weights[each]).map((each) => constant(each, weights[each]!))
    const normed = step(kind === 'rms' ? 'RMSNormalization' : 'LayerNormalization', [vectors, ...parameters], `${name}.normed`, { axis: -1, epsilon: { float: epsilon } })
    return over === 'head' ? reshape(normed, [0, 0, count * headDim], `${name}.joined`) : normed
  }
  const rotate = (name: string, count: number, input: string): string => position === undefined ? input
    : step('RotaryEmbedding', [input, 'cosines', 'sines', 'positions'], `${name}.rotated`, {
        num_heads: count, interleaved: config.position?.kind === 'rotary' && config.position.layout === 'interleaved' ? 1 : 0,
        rotary_embedding_dim: config.position?.kind === 'rotary' ? config.position.dim : 0,
      })

  if (position?.kind === 'rotary') {
    const { cos, sin } = position.table({ start: 0, length: maximumLength })
    constant('cosines', await bringHome(layer.backend, cos))
    constant('sines', await bringHome(layer.backend, sin))
  }
  const query = rotate('query', heads, normalise('queryNorm', heads, project('query', 'input')))
  const key = rotate('key', kvHeads, normalise('keyNorm', kvHeads, project('key', 'input')))
  const value = project('value', 'input')
  nodes.push({
    operator: 'Attention',
    inputs: [query, key, value, ...(cache ? ['', 'past_key', 'past_value'] : [])],
    outputs: ['attended', ...(cache ? ['present_key', 'present_value'] : [])],
    attributes: {
      q_num_heads: heads, kv_num_heads: kvHeads, is_causal: cache || config.causal ? 1 : 0,
      scale: { float: config.scale ?? 1 / Math.sqrt(headDim) },
      ...(config.softcap === undefined ? {} : { softcap: { float: config.softcap } }),
    },
  })
  nodes.push({ operator: 'Identity', inputs: [project('output', 'attended')], outputs: ['output'] })

  const vectors = (name: string): OnnxValue => ({ name, type: 'float32', shape: ['batch', 'length', modelDim] })
  const cached = (when: string): OnnxValue[] => !cache ? [] : [
    { name: `${when}_key`, type: 'float32', shape: ['batch', kvHeads, when, headDim] },
    { name: `${when}_value`, type: 'float32', shape: ['batch', kvHeads, when, valueDim] },
  ]
  const positions: OnnxValue[] = position === undefined ? [] : [{ name: 'positions', type: 'int64', shape: ['batch', 'length'] }]
  return { nodes, constants, inputs: [vectors('input'), ...positions, ...cached('past')], outputs: [vectors('output'), ...cached('present')] }
}

/** A fused projection as the three it is made of. */
function separate(state: Readonly<Record<string, HostTensor>>, { heads, kvHeads, headDim }: MultiHeadConfig): Record<string, HostTensor> {
  const weights: Record<string, HostTensor> = { ...state }
  const keys = heads * headDim
  const values = keys + kvHeads * headDim
  for (const part of ['weight', 'bias']) {
    const fused = state[`queryKeyValue.${part}`]
    if (fused === undefined) continue
    const rows = (start: number, end: number): HostTensor => ({ ...fused, ...slice(fused, 0, start, end) })
    weights[`query.${part}`] = rows(0, keys)
    weights[`key.${part}`] = rows(keys, values)
    weights[`value.${part}`] = rows(values, fused.shape[0] ?? 0)
  }
  return weights
}

function checkExpressible({ window, gate, sinks, position, modelDim, memoryDim, causal }: MultiHeadConfig, cache: boolean): void {
  const refuse = (option: string, received: string): never => {
    throw refused('OPTION_INVALID', 'exportAttentionLayer', option, 'absent, for ONNX’s Attention has none', received)
  }
  if (window !== undefined) refuse('window', 'a window')
  if (gate !== undefined) refuse('gate', `a gate per ${gate}`)
  if (sinks) refuse('sinks', 'sinks')
  if (position !== undefined && position.kind !== 'rotary') refuse('position', 'a score encoding')
  if (memoryDim !== modelDim) refuse('memoryDim', `${memoryDim}, for cross-attention`)
  if (cache && causal === 'upper-left') refuse('causal', "'upper-left' with a cache")
}
