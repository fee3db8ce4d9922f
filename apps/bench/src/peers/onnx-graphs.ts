import type { BenchCase, SequenceCase } from '../cases/case.ts'
import { linearVectors, sequenceVectors } from '../cases/vectors.ts'
import { onnxAttention } from './onnx-attention.ts'
import { bothWays, floats, type GraphParts, type OnnxGraph } from './onnx-graph.ts'
import { Unavailable } from './peer.ts'

/**
 * The ways in which ONNX Runtime can do a case, all of which are tried so that its fastest counts. Matrices of weights go in as
 * constants, which it packs when it opens, and as inputs, for packing does not always pay.
 *
 * @throws Unavailable where no operator says what the case asks for.
 */
export function onnxGraphs(bench: BenchCase): readonly OnnxGraph[] {
  switch (bench.kind) {
    case 'linear':
      return bothWays(matMul(bench))
    case 'sequence':
      return bothWays(lstm(bench))
    case 'attention':
      return onnxAttention(bench)
    case 'writing':
      throw new Unavailable('writes as transformers.js')
  }
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
