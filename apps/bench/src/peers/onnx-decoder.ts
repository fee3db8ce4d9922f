import type { HostTensor } from '@qkv/core'
import type { BlockWeights, DecoderCheckpoint } from '@qkv/transformer'
import { rotaryCaches } from './onnx-rotary.ts'
import { onnxModel, type OnnxNode, type OnnxValue, type OnnxWeight } from './onnx-model.ts'
import { Unavailable } from './peer.ts'

/**
 * A Llama as an ONNX graph, made of the fused operators that ONNX Runtime's own model builder uses and the models for
 * transformers.js are published with: tokens and cached keys and values in, logits and longer caches out.
 *
 *     input_ids ─ Gather ─▶ hidden
 *     each layer:  hidden += o(GroupQueryAttention(q, k, v of norm(hidden), past))     rotary inside
 *                  hidden += down(silu(gate) · up) of norm(hidden)
 *     logits = norm(hidden) · headᵀ
 *
 * @throws Unavailable for decoders that are no Llama.
 */
export function onnxDecoder(checkpoint: DecoderCheckpoint): Uint8Array {
  const { sizes, positions, embedding, blocks, norm, head } = checkpoint
  if (positions.kind !== 'rotary') throw new Unavailable('only rotary decoders are written as ONNX')
  const graph = new GraphWriter()
  const { cos, sin, shape } = rotaryCaches(sizes.contextLength, sizes.headDim, positions.base)
  graph.weight('cos', shape, cos)
  graph.weight('sin', shape, sin)
  lengths(graph)
  let hidden = graph.node('Gather', [graph.tensor('embedding', embedding), 'input_ids'])
  blocks.forEach((block, layer) => (hidden = addBlock(graph, hidden, block, layer, { ...sizes, ...positions })))
  graph.node('MatMul', [normed(graph, hidden, norm, 'norm'), graph.transposed('head', head.weight)], { outputs: ['logits'] })

  const cached = ['batch_size', sizes.kvHeads, 'past', sizes.headDim]
  const longer = ['batch_size', sizes.kvHeads, 'total', sizes.headDim]
  const caches = (prefix: string, shape: readonly (number | string)[]): OnnxValue[] =>
    blocks.flatMap((_, layer) => ['key', 'value'].map((part): OnnxValue => [`${prefix}.${layer}.${part}`, 'float32', shape]))
  return onnxModel({
    nodes: graph.nodes,
    weights: graph.weights,
    inputs: [
      ['input_ids', 'int64', ['batch_size', 'length']],
      ['attention_mask', 'int64', ['batch_size', 'total']],
      ['position_ids', 'int64', ['batch_size', 'length']],
      ...caches('past_key_values', cached),
    ],
    outputs: [['logits', 'float32', ['batch_size', 'length', sizes.vocabularySize]], ...caches('present', longer)],
  })
}

/** What GroupQueryAttention wants to know of the mask: each sequence's last key, and how many keys there are. */
function lengths(graph: GraphWriter): void {
  graph.weight('one', [1], BigInt64Array.of(1n))
  const counted = graph.node('ReduceSum', ['attention_mask', 'one'], { integers: { keepdims: 0 } })
  graph.node('Cast', [graph.node('Sub', [counted, 'one'])], { integers: { to: 6 }, outputs: ['lastKeys'] })
  graph.weight('axis', [], BigInt64Array.of(1n))
  const total = graph.node('Gather', [graph.node('Shape', ['attention_mask']), 'axis'])
  graph.node('Cast', [total], { integers: { to: 6 }, outputs: ['totalKeys'] })
}

function addBlock(
  graph: GraphWriter,
  hidden: string,
  { attentionNorm, attention, feedForwardNorm, feedForward }: BlockWeights,
  layer: number,
  { heads, kvHeads, layout }: { heads: number; kvHeads: number; layout: 'half' | 'interleaved' },
): string {
  if (feedForward.kind !== 'gated' || feedForward.activation !== 'silu') throw new Unavailable('only SwiGLU is written as ONNX')
  const linear = (input: string, name: string, weight: HostTensor): string =>
    graph.node('MatMul', [input, graph.transposed(`${layer}.${name}`, weight)])
  const project = (input: string, name: string): string => linear(input, name, attention[`${name}.weight`]!)

  // GroupQueryAttention rotates heads of 16, 32, … only, and stories260K's have 8.
  const rotated = (input: string, num_heads: number): string =>
    graph.node('RotaryEmbedding', [input, 'position_ids', 'cos', 'sin'], {
      domain: 'com.microsoft',
      integers: { num_heads, interleaved: Number(layout === 'interleaved') },
    })

  const read = normed(graph, hidden, attentionNorm, `${layer}.attentionNorm`)
  const attended = graph.node(
    'GroupQueryAttention',
    [
      rotated(project(read, 'query'), heads),
      rotated(project(read, 'key'), kvHeads),
      project(read, 'value'),
      `past_key_values.${layer}.key`,
      `past_key_values.${layer}.value`,
      'lastKeys',
      'totalKeys',
    ],
    {
      domain: 'com.microsoft',
      integers: { num_heads: heads, kv_num_heads: kvHeads },
      outputs: [graph.name(), `present.${layer}.key`, `present.${layer}.value`],
    },
  )
  const between = graph.node('Add', [hidden, project(attended, 'output')])

  const fed = normed(graph, between, feedForwardNorm, `${layer}.feedForwardNorm`)
  const gate = linear(fed, 'gate', feedForward.gate.weight)
  const gated = graph.node('Mul', [gate, graph.node('Sigmoid', [gate])])
  const inner = graph.node('Mul', [gated, linear(fed, 'up', feedForward.up.weight)])
  return graph.node('Add', [between, linear(inner, 'down', feedForward.down.weight)])
}

function normed(graph: GraphWriter, input: string, norm: BlockWeights['attentionNorm'], name: string): string {
  if (norm.kind !== 'rms') throw new Unavailable('only RMSNorm is written as ONNX')
  return graph.node('SimplifiedLayerNormalization', [input, graph.tensor(name, norm.weight)], {
    integers: { axis: -1 },
    floats: { epsilon: norm.epsilon },
  })
}

/** Nodes and weights as they are added, each known by a name. */
class GraphWriter {
  readonly nodes: OnnxNode[] = []
  readonly weights: OnnxWeight[] = []

  /** Adds a node; returns its first output's name. */
  node(operator: string, inputs: readonly string[], rest: Partial<Omit<OnnxNode, 'operator' | 'inputs'>> = {}): string {
    const outputs = rest.outputs ?? [this.name()]
    this.nodes.push({ operator, inputs, ...rest, outputs })
    return outputs[0]!
  }

  name(): string {
    return `value${this.nodes.length}`
  }

  weight(name: string, shape: readonly number[], data: OnnxWeight['data']): string {
    this.weights.push({ name, shape, data })
    return name
  }

  tensor(name: string, { storage, shape }: HostTensor): string {
    return this.weight(name, shape, storage as Float32Array)
  }

  /** A weight [outputs, inputs] as MatMul wants it, [inputs, outputs]. */
  transposed(name: string, { storage, shape: [outputs = 0, inputs = 0] }: HostTensor): string {
    const turned = new Float32Array(outputs * inputs)
    for (let o = 0; o < outputs; o++) {
      for (let i = 0; i < inputs; i++) turned[i * outputs + o] = Number(storage[o * inputs + i])
    }
    return this.weight(name, [inputs, outputs], turned)
  }
}
