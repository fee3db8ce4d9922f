import { bytes, float, integer, message, text, written, type Field } from './protobuf.ts'

/** A step of a graph: an ONNX operator between named tensors. */
export interface OnnxNode {
  readonly operator: string
  /** An empty name stands for an input that is left out. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Whole numbers are written as such; `{ float }` is a float whatever its value. */
  readonly attributes?: Readonly<Record<string, number | { readonly float: number }>> | undefined
}

export interface OnnxValue {
  readonly name: string
  readonly type: 'float32' | 'int64'
  /** Names stand for sizes that are known when it runs. */
  readonly shape: readonly (number | string)[]
}

/** A tensor that comes with the model. */
export interface OnnxConstant {
  readonly name: string
  readonly shape: readonly number[]
  readonly values: Float32Array | BigInt64Array
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[]
  readonly inputs: readonly OnnxValue[]
  readonly outputs: readonly OnnxValue[]
  readonly constants: readonly OnnxConstant[]
}

/** The version of ONNX's operators that first has `Attention`, and of the file format that goes with it. */
const operatorVersion = 23
const formatVersion = 11

const elementTypes = { float32: 1, int64: 7 } as const

/** A model file (onnx.proto's ModelProto; numbers are its field numbers). */
export function onnxModel(graph: OnnxGraph): Uint8Array {
  return written(
    integer(1, formatVersion),
    text(2, 'qkv'),
    message(
      7,
      ...graph.nodes.map((node) => message(1, ...nodeFields(node))),
      text(2, 'attention'),
      ...graph.constants.map((constant) => message(5, ...constantFields(constant))),
      ...graph.inputs.map((value) => message(11, ...valueFields(value))),
      ...graph.outputs.map((value) => message(12, ...valueFields(value))),
    ),
    message(8, text(1, ''), integer(2, operatorVersion)),
  )
}

function nodeFields({ operator, inputs, outputs, attributes = {} }: OnnxNode): Field[] {
  return [
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, operator),
    ...Object.entries(attributes).map(([name, value]) =>
      typeof value === 'number'
        ? message(5, text(1, name), integer(3, value), integer(20, 2))
        : message(5, text(1, name), float(2, value.float), integer(20, 1)),
    ),
  ]
}

function constantFields({ name, shape, values }: OnnxConstant): Field[] {
  const type = values instanceof Float32Array ? elementTypes.float32 : elementTypes.int64
  const content = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return [...shape.map((size) => integer(1, size)), integer(2, type), text(8, name), bytes(9, content)]
}

function valueFields({ name, type, shape }: OnnxValue): Field[] {
  const sizes = shape.map((size) => message(1, typeof size === 'number' ? integer(1, size) : text(2, size)))
  return [text(1, name), message(2, message(1, integer(1, elementTypes[type]), message(2, ...sizes)))]
}
