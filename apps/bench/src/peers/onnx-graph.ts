import { onnxModel, type OnnxNode, type OnnxValue, type OnnxWeight } from './onnx-model.ts'

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

export interface GraphParts {
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

export function graph({
  layer,
  nodes,
  inputs,
  weights = [],
  outputShape,
  further = [],
  resultOf = (y) => y,
}: GraphParts): OnnxGraph {
  const values = Object.entries(inputs).map(([name, { element, shape }]): OnnxValue => [name, element, shape])
  const outputs: OnnxValue[] = [['y', 'float32', outputShape], ...further]
  const how = nodes
    .map(({ operator }) => operator)
    .filter((operator, index, all) => all.indexOf(operator) === index)
    .join(', ')
  return { how, layer, model: onnxModel({ nodes, inputs: values, outputs, weights }), inputs, resultOf }
}

/** With the weights as a part of the model, and among what it is fed. */
export function bothWays({ weights = [], ...parts }: GraphParts): readonly OnnxGraph[] {
  const fed = Object.fromEntries(
    weights.map(({ name, data, shape }): [string, OnnxInput] => [name, { element: 'float32', data, shape }]),
  )
  const asInputs = graph({ ...parts, inputs: { ...parts.inputs, ...fed } })
  return [graph({ ...parts, weights }), { ...asInputs, how: `${asInputs.how}, weights as inputs` }]
}

export function floats(data: Float32Array, shape: readonly number[]): OnnxInput {
  return { element: 'float32', data, shape }
}
