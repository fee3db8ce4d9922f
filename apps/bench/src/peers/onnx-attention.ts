import { hasWindow, type AttentionCase } from '../cases/case.ts'
import { attentionVectors, swapHeadsAndLength } from '../cases/vectors.ts'
import { floats, graph, type OnnxGraph, type OnnxInput } from './onnx-graph.ts'
import type { OnnxNode, OnnxWeight } from './onnx-model.ts'
import { rotaryCaches } from './onnx-rotary.ts'
import { Unavailable } from './peer.ts'

/**
 * The operators of ONNX Runtime that say what a case asks for: the contrib ones `MultiHeadAttention` and `GroupQueryAttention`,
 * which its providers have kernels for, and ONNX's own `Attention`.
 *
 * @throws Unavailable where there is none.
 */
export function onnxAttention(bench: AttentionCase): readonly OnnxGraph[] {
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

/** One query at the end sees every key, causal or not. */
function seesAll({ queryLength, causal }: AttentionCase): boolean {
  return !causal || queryLength === 1
}
