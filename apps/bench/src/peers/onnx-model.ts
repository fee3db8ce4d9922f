import protobuf from 'protobufjs'

/** The part of ONNX's file format (onnx.proto3, IR version 10) that our graphs need. */
const schema = protobuf.parse(
  `
  syntax = "proto3";
  message AttributeProto { string name = 1; float f = 2; int64 i = 3; bytes s = 4; int32 type = 20; }
  message NodeProto {
    repeated string input = 1; repeated string output = 2; string op_type = 4; repeated AttributeProto attribute = 5; string domain = 7;
  }
  message TensorProto { repeated int64 dims = 1; int32 data_type = 2; string name = 8; bytes raw_data = 9; }
  message Dimension { int64 dim_value = 1; string dim_param = 2; }
  message TensorShapeProto { repeated Dimension dim = 1; }
  message TensorType { int32 elem_type = 1; TensorShapeProto shape = 2; }
  message TypeProto { TensorType tensor_type = 1; }
  message ValueInfoProto { string name = 1; TypeProto type = 2; }
  message GraphProto {
    repeated NodeProto node = 1; string name = 2; repeated TensorProto initializer = 5;
    repeated ValueInfoProto input = 11; repeated ValueInfoProto output = 12;
  }
  message OperatorSetIdProto { string domain = 1; int64 version = 2; }
  message ModelProto { int64 ir_version = 1; GraphProto graph = 7; repeated OperatorSetIdProto opset_import = 8; }
`,
  { keepCase: true },
).root

const elementTypes = { float32: 1, int32: 6, int64: 7 } as const

export type OnnxElement = keyof typeof elementTypes

/**
 * A value that goes in or comes out: its name, element type and shape, which the runtime infers where it is left out. A
 * size may be a name, which stands for whatever comes.
 */
export type OnnxValue = readonly [name: string, element: OnnxElement, shape?: readonly (number | string)[]]

export interface OnnxNode {
  readonly operator: string
  /** Empty for ONNX's own operators. */
  readonly domain?: string
  /** An empty name leaves an optional input out. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly integers?: Readonly<Record<string, number>>
  readonly floats?: Readonly<Record<string, number>>
}

/** A constant that travels with the model. */
export interface OnnxWeight {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: Float32Array | BigInt64Array
}

export interface OnnxGraphParts {
  readonly nodes: readonly OnnxNode[]
  readonly inputs: readonly OnnxValue[]
  readonly outputs: readonly OnnxValue[]
  readonly weights?: readonly OnnxWeight[]
}

/** A graph as the bytes of an ONNX file. */
export function onnxModel({ nodes, inputs, outputs, weights = [] }: OnnxGraphParts): Uint8Array {
  const model = schema.lookupType('ModelProto')
  return model
    .encode(
      model.fromObject({
        ir_version: 10,
        opset_import: [
          { domain: '', version: 23 },
          { domain: 'com.microsoft', version: 1 },
        ],
        graph: {
          name: 'graph',
          node: nodes.map(nodeOf),
          initializer: weights.map(weightOf),
          input: inputs.map(valueOf),
          output: outputs.map(valueOf),
        },
      }),
    )
    .finish()
}

function nodeOf({ operator, domain = '', inputs, outputs, integers = {}, floats = {} }: OnnxNode): object {
  return {
    op_type: operator,
    domain,
    input: inputs,
    output: outputs,
    attribute: [
      ...Object.entries(integers).map(([name, i]) => ({ name, i, type: 2 })),
      ...Object.entries(floats).map(([name, f]) => ({ name, f, type: 1 })),
    ],
  }
}

function weightOf({ name, shape, data }: OnnxWeight): object {
  return {
    name,
    dims: shape,
    data_type: elementTypes[data instanceof Float32Array ? 'float32' : 'int64'],
    raw_data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }
}

function valueOf([name, element, shape]: OnnxValue): object {
  const dims = shape && {
    shape: { dim: shape.map((size) => (typeof size === 'string' ? { dim_param: size } : { dim_value: size })) },
  }
  return { name, type: { tensor_type: { elem_type: elementTypes[element], ...dims } } }
}
