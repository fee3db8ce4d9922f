import { hasWindow, type AttentionCase, type BenchCase } from '../cases/case.ts'
import { attentionVectors, linearVectors, swapHeadsAndLength } from '../cases/vectors.ts'
import { onnxModel, type OnnxNode, type OnnxValue } from './onnx-model.ts'
import { Unavailable } from './peer.ts'

export interface OnnxInput {
  readonly element: 'float32' | 'int32'
  readonly data: Float32Array | Int32Array
  readonly shape: readonly number[]
}

/** A case as an ONNX graph with what it is fed. */
export interface OnnxGraph {
  readonly how: string
  readonly model: Uint8Array
  readonly inputs: Readonly<Record<string, OnnxInput>>
  /** Brings output `y` to the row-major order of all contestants. */
  readonly resultOf: (y: Float32Array) => Float32Array
}

/**
 * The ways in which ONNX Runtime can do a case, all of which are tried so that its fastest counts: the contrib operators
 * `MultiHeadAttention` and `GroupQueryAttention`, which its providers have kernels for, and ONNX's own `Attention`.
 *
 * @throws Unavailable where no operator says what the case asks for.
 */
export function onnxGraphs(bench: BenchCase): readonly OnnxGraph[] {
  if (bench.kind === 'linear') return [matMul(bench)]
  refuse(bench)
  const { queryHeads, keyHeads, queryLength, keyLength, causal, softcap, sinks } = bench
  const chunked = causal && queryLength !== keyLength && queryLength !== 1
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
  const { batch, queryHeads, queryLength, keyLength, headDim, valueDim, causal } = bench
  const vectors = attentionVectors(bench)
  const width = queryHeads * headDim
  const node: OnnxNode = {
    operator: 'MultiHeadAttention',
    domain: 'com.microsoft',
    inputs: ['q', 'k', 'v'],
    outputs: ['y'],
    integers: { num_heads: queryHeads, unidirectional: seesAll(bench) ? 0 : Number(causal) },
  }
  return graph(
    node,
    {
      q: floats(swapHeadsAndLength(vectors.query, batch, queryHeads, queryLength, headDim), [batch, queryLength, width]),
      k: floats(swapHeadsAndLength(vectors.key, batch, queryHeads, keyLength, headDim), [batch, keyLength, width]),
      v: floats(swapHeadsAndLength(vectors.value, batch, queryHeads, keyLength, valueDim), [
        batch,
        keyLength,
        queryHeads * valueDim,
      ]),
    },
    [batch, queryLength, queryHeads * valueDim],
    (y) => swapHeadsAndLength(y, batch, queryLength, queryHeads, valueDim),
  )
}

function attention(bench: AttentionCase): OnnxGraph {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim, causal, softcap } = bench
  const vectors = attentionVectors(bench)
  const node: OnnxNode = {
    operator: 'Attention',
    inputs: ['q', 'k', 'v'],
    outputs: ['y'],
    integers: { is_causal: seesAll(bench) ? 0 : Number(causal) },
    floats: softcap === undefined ? {} : { softcap },
  }
  return graph(
    node,
    {
      q: floats(vectors.query, [batch, queryHeads, queryLength, headDim]),
      k: floats(vectors.key, [batch, keyHeads, keyLength, headDim]),
      v: floats(vectors.value, [batch, keyHeads, keyLength, valueDim]),
    },
    [batch, queryHeads, queryLength, valueDim],
    (y) => y,
  )
}

/** With a past of all keys but the newest, as when decoding; at prefill the past is empty. */
function groupQueryAttention(bench: AttentionCase): OnnxGraph {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim, windowLeft, softcap } = bench
  const { sinks, ...vectors } = attentionVectors(bench)
  if (headDim !== valueDim || batch !== 1) throw new Unavailable('GroupQueryAttention wants one head size')
  if (!bench.causal) throw new Unavailable('GroupQueryAttention is causal')
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
    inputs: ['q', 'k', 'v', 'pastKey', 'pastValue', 'lengths', 'total', ...(sinks ? ['', '', '', '', 'sinks'] : [])],
    outputs: ['y', 'presentKey', 'presentValue'],
    integers: { num_heads: queryHeads, kv_num_heads: keyHeads, local_window_size: windowLeft === undefined ? -1 : windowLeft + 1 },
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
    ...(sinks && { sinks: floats(sinks, [queryHeads]) }),
  }
  return graph(
    node,
    inputs,
    [batch, queryLength, queryHeads * valueDim],
    (y) => swapHeadsAndLength(y, batch, queryLength, queryHeads, valueDim),
    [
      ['presentKey', 'float32'],
      ['presentValue', 'float32'],
    ],
  )
}

function matMul(bench: Extract<BenchCase, { kind: 'linear' }>): OnnxGraph {
  const { rows, inputs, outputs } = bench
  const { input, weight } = linearVectors(bench)
  const transposed = new Float32Array(weight.length)
  for (let o = 0; o < outputs; o++) for (let i = 0; i < inputs; i++) transposed[i * outputs + o] = weight[o * inputs + i] ?? NaN
  return graph(
    { operator: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] },
    { x: floats(input, [rows, inputs]), w: floats(transposed, [inputs, outputs]) },
    [rows, outputs],
    (y) => y,
  )
}

/** One query at the end sees every key, causal or not. */
function seesAll({ queryLength, causal }: AttentionCase): boolean {
  return !causal || queryLength === 1
}

function graph(
  node: OnnxNode,
  inputs: Readonly<Record<string, OnnxInput>>,
  outputShape: readonly number[],
  resultOf: OnnxGraph['resultOf'],
  further: readonly OnnxValue[] = [],
): OnnxGraph {
  const values = Object.entries(inputs).map(([name, { element, shape }]): OnnxValue => [name, element, shape])
  return { how: node.operator, model: onnxModel([node], values, [['y', 'float32', outputShape], ...further]), inputs, resultOf }
}

function floats(data: Float32Array, shape: readonly number[]): OnnxInput {
  return { element: 'float32', data, shape }
}
