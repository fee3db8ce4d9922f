import { hasWindow, type AttentionCase, type BenchCase, type SequenceCase } from '../cases/case.ts'
import { attentionVectors, linearVectors, sequenceVectors, swapHeadsAndLength } from '../cases/vectors.ts'
import { onnxModel, type OnnxNode, type OnnxValue, type OnnxWeight } from './onnx-model.ts'
import { rotaryCaches } from './onnx-rotary.ts'
import { Unavailable } from './peer.ts'

export interface OnnxInput {
  readonly element: 'float32' | 'int32' | 'int64'
  readonly data: Float32Array | Int32Array | BigInt64Array
  readonly shape: readonly number[]
}

/** A case as an ONNX graph with what it is fed; what stays the same from call to call is a part of the model. */
export interface OnnxGraph {
  readonly how: string
  readonly layer?: 'lstm' | undefined
  readonly model: Uint8Array
  readonly inputs: Readonly<Record<string, OnnxInput>>
  /** Brings output `y` to the row-major order of all contestants. */
  readonly resultOf: (y: Float32Array) => Float32Array
}

/**
 * The ways in which ONNX Runtime can do a case, all of which are tried so that its fastest counts: the contrib operators
 * `MultiHeadAttention` and `GroupQueryAttention`, which its providers have kernels for, and ONNX's own `Attention`. Matrices of
 * weights go in as constants, which it packs when it opens, and as inputs, for packing does not always pay.
 *
 * @throws Unavailable where no operator says what the case asks for.
 */
export function onnxGraphs(bench: BenchCase): readonly OnnxGraph[] {
  if (bench.kind === 'linear') return bothWays(matMul(bench))
  if (bench.kind === 'sequence') return bothWays(lstm(bench))
  if (bench.kind === 'writing') throw new Unavailable('writes as transformers.js')
  refuse(bench)
  const { queryHeads, keyHeads, queryLength, keyLength, causal, softcap, sinks, rotary } = bench
  const chunked = causal && queryLength !== keyLength && queryLength !== 1
  if (rotary && queryLength !== keyLength) throw new Unavailable('keys that are cached are turned already')
  if (rotary && queryHeads !== keyHeads) return [groupQueryAttention(bench)]
  if (rotary) return [...(causal ? [groupQueryAttention(bench)] : []), multiHeadAttention(bench)]
  if (chunked || sinks || hasWindow(bench)) return [groupQueryAttention(bench)]
  if (queryHeads !== keyHeads || softcap !== undefined) return [groupQueryAttention(bench), attention(bench)]
  return [multiHeadAttention(bench), attention(bench)]
}

function refuse({ gradient, keyDtype, documents, alibi }: AttentionCase): void {
  if (gradient) throw new Unavailable('ONNX Runtime has no gradient of attention for inference')
  if (keyDtype !== 'float32') throw new Unavailable(`no operator takes float32 queries over ${keyDtype} keys`)
  if (documents !== undefined) throw new Unavailable('no operator takes documents without an N×N mask')
  if (alibi) throw new Unavailable('no operator takes ALiBi without an N×N bias')
}

function multiHeadAttention(bench: AttentionCase): OnnxGraph {
  const { batch, queryHeads, queryLength, keyLength, headDim, valueDim, causal, rotary } = bench
  const { bias, ...vectors } = attentionVectors(bench)
  const width = queryHeads * headDim
  const turned = (name: string): string => (rotary ? `${name}Turned` : name)
  const rotates = (name: string): OnnxNode => ({
    operator: 'RotaryEmbedding',
    domain: 'com.microsoft',
    inputs: [name, 'positions', 'cos', 'sin'],
    outputs: [turned(name)],
    integers: { num_heads: queryHeads },
  })
  const attends: OnnxNode = {
    operator: 'MultiHeadAttention',
    domain: 'com.microsoft',
    inputs: [turned('q'), turned('k'), 'v', ...(bias ? ['', '', 'bias'] : [])],
    outputs: ['y'],
    integers: { num_heads: queryHeads, unidirectional: seesAll(bench) ? 0 : Number(causal) },
  }
  return graph({
    nodes: rotary ? [rotates('q'), rotates('k'), attends] : [attends],
    inputs: {
      q: floats(swapHeadsAndLength(vectors.query, batch, queryHeads, queryLength, headDim), [batch, queryLength, width]),
      k: floats(swapHeadsAndLength(vectors.key, batch, queryHeads, keyLength, headDim), [batch, keyLength, width]),
      v: floats(swapHeadsAndLength(vectors.value, batch, queryHeads, keyLength, valueDim), [
        batch,
        keyLength,
        queryHeads * valueDim,
      ]),
    },
    weights: [
      ...(rotary ? [{ name: 'positions', data: BigInt64Array.of(0n), shape: [1] }, ...caches(bench)] : []),
      ...biasWeight(bench, bias),
    ],
    outputShape: [batch, queryLength, queryHeads * valueDim],
    resultOf: (y) => swapHeadsAndLength(y, batch, queryLength, queryHeads, valueDim),
  })
}

/** Cosines and sines of every position. */
function caches({ keyLength, headDim }: AttentionCase): readonly OnnxWeight[] {
  const { cos, sin, shape } = rotaryCaches(keyLength, headDim, 10_000)
  return [
    { name: 'cos', data: cos, shape },
    { name: 'sin', data: sin, shape },
  ]
}

function biasWeight({ queryHeads, queryLength, keyLength }: AttentionCase, bias: Float32Array | undefined): readonly OnnxWeight[] {
  return bias ? [{ name: 'bias', data: bias, shape: [1, queryHeads, queryLength, keyLength] }] : []
}

function attention(bench: AttentionCase): OnnxGraph {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim, causal, softcap } = bench
  const { bias, ...vectors } = attentionVectors(bench)
  const node: OnnxNode = {
    operator: 'Attention',
    inputs: ['q', 'k', 'v', ...(bias ? ['bias'] : [])],
    outputs: ['y'],
    integers: { is_causal: seesAll(bench) ? 0 : Number(causal) },
    floats: softcap === undefined ? {} : { softcap },
  }
  return graph({
    nodes: [node],
    inputs: {
      q: floats(vectors.query, [batch, queryHeads, queryLength, headDim]),
      k: floats(vectors.key, [batch, keyHeads, keyLength, headDim]),
      v: floats(vectors.value, [batch, keyHeads, keyLength, valueDim]),
    },
    weights: biasWeight(bench, bias),
    outputShape: [batch, queryHeads, queryLength, valueDim],
  })
}

/** With a past of all keys but the newest, as when decoding; at prefill the past is empty. */
function groupQueryAttention(bench: AttentionCase): OnnxGraph {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim, windowLeft, softcap, rotary } = bench
  const { sinks, ...vectors } = attentionVectors(bench)
  if (headDim !== valueDim || batch !== 1) throw new Unavailable('GroupQueryAttention wants one head size')
  if (!bench.causal) throw new Unavailable('GroupQueryAttention is causal')
  if (rotary && headDim % 16 !== 0) throw new Unavailable('GroupQueryAttention rotates heads of 16, 32, …')
  const past = keyLength - queryLength
  const parts = (values: Float32Array): { past: OnnxInput; present: OnnxInput } => {
    const rows = swapHeadsAndLength(values, batch, keyHeads, keyLength, headDim)
    const width = keyHeads * headDim
    const cached = swapHeadsAndLength(rows.subarray(0, past * width), batch, past, keyHeads, headDim)
    return {
      past: floats(cached, [batch, keyHeads, past, headDim]),
      present: floats(rows.slice(past * width), [batch, queryLength, width]),
    }
  }
  const key = parts(vectors.key)
  const value = parts(vectors.value)
  const node: OnnxNode = {
    operator: 'GroupQueryAttention',
    domain: 'com.microsoft',
    inputs: [
      'q',
      'k',
      'v',
      'pastKey',
      'pastValue',
      'lengths',
      'total',
      ...(rotary ? ['cos', 'sin'] : ['', '']),
      ...(sinks ? ['', '', 'sinks'] : []),
    ],
    outputs: ['y', 'presentKey', 'presentValue'],
    integers: {
      num_heads: queryHeads,
      kv_num_heads: keyHeads,
      local_window_size: windowLeft === undefined ? -1 : windowLeft + 1,
      do_rotary: Number(rotary ?? false),
    },
    floats: softcap === undefined ? {} : { softcap },
  }
  const inputs: Record<string, OnnxInput> = {
    q: floats(swapHeadsAndLength(vectors.query, batch, queryHeads, queryLength, headDim), [
      batch,
      queryLength,
      queryHeads * headDim,
    ]),
    k: key.present,
    v: value.present,
    pastKey: key.past,
    pastValue: value.past,
    lengths: { element: 'int32', data: Int32Array.of(keyLength - 1), shape: [batch] },
    total: { element: 'int32', data: Int32Array.of(keyLength), shape: [1] },
  }
  return graph({
    nodes: [node],
    inputs,
    weights: [...(rotary ? caches(bench) : []), ...(sinks ? [{ name: 'sinks', data: sinks, shape: [queryHeads] }] : [])],
    outputShape: [batch, queryLength, queryHeads * valueDim],
    further: [
      ['presentKey', 'float32'],
      ['presentValue', 'float32'],
    ],
    resultOf: (y) => swapHeadsAndLength(y, batch, queryLength, queryHeads, valueDim),
  })
}

function matMul(bench: Extract<BenchCase, { kind: 'linear' }>): GraphParts {
  const { rows, inputs, outputs } = bench
  const { input, weight } = linearVectors(bench)
  const transposed = new Float32Array(weight.length)
  for (let o = 0; o < outputs; o++) for (let i = 0; i < inputs; i++) transposed[i * outputs + o] = weight[o * inputs + i] ?? NaN
  return {
    nodes: [{ operator: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
    inputs: { x: floats(input, [rows, inputs]) },
    weights: [{ name: 'w', data: transposed, shape: [inputs, outputs] }],
    outputShape: [rows, outputs],
  }
}

/** ONNX keeps an LSTM's gates in the order input, output, forget, cell. */
function lstm(bench: SequenceCase): GraphParts {
  const { length, width } = bench
  const { input, inputWeights, recurrentWeights } = sequenceVectors(bench)
  return {
    layer: 'lstm',
    nodes: [{ operator: 'LSTM', inputs: ['x', 'w', 'r'], outputs: ['y'], integers: { hidden_size: width } }],
    inputs: { x: floats(input, [length, 1, width]) },
    weights: [
      { name: 'w', data: inputWeights, shape: [1, 4 * width, width] },
      { name: 'r', data: recurrentWeights, shape: [1, 4 * width, width] },
    ],
    outputShape: [length, 1, 1, width],
  }
}

/** With the weights as a part of the model, and among what it is fed. */
function bothWays({ weights = [], ...parts }: GraphParts): readonly OnnxGraph[] {
  const fed = Object.fromEntries(
    weights.map(({ name, data, shape }): [string, OnnxInput] => [name, { element: 'float32', data, shape }]),
  )
  const asInputs = graph({ ...parts, inputs: { ...parts.inputs, ...fed } })
  return [graph({ ...parts, weights }), { ...asInputs, how: `${asInputs.how}, weights as inputs` }]
}

/** One query at the end sees every key, causal or not. */
function seesAll({ queryLength, causal }: AttentionCase): boolean {
  return !causal || queryLength === 1
}

interface GraphParts {
  readonly layer?: OnnxGraph['layer']
  readonly nodes: readonly OnnxNode[]
  readonly inputs: OnnxGraph['inputs']
  readonly weights?: readonly OnnxWeight[]
  /** Of `y`. */
  readonly outputShape: readonly number[]
  /** Outputs that nobody reads but the operator wants. */
  readonly further?: readonly OnnxValue[]
  readonly resultOf?: OnnxGraph['resultOf']
}

function graph({ layer, nodes, inputs, weights = [], outputShape, further = [], resultOf = (y) => y }: GraphParts): OnnxGraph {
  const values = Object.entries(inputs).map(([name, { element, shape }]): OnnxValue => [name, element, shape])
  const outputs: OnnxValue[] = [['y', 'float32', outputShape], ...further]
  const how = nodes
    .map(({ operator }) => operator)
    .filter((operator, index, all) => all.indexOf(operator) === index)
    .join(', ')
  return { how, layer, model: onnxModel({ nodes, inputs: values, outputs, weights }), inputs, resultOf }
}

function floats(data: Float32Array, shape: readonly number[]): OnnxInput {
  return { element: 'float32', data, shape }
}
