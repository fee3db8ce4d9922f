import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { tensor, type HostTensor } from '@qkv/core'

/** A test vector of ONNX as kept in the shared folder. */
export interface OnnxVector {
  readonly name: string
  readonly attributes: Readonly<Record<string, number>>
  readonly node_inputs: readonly string[]
  readonly inputs: readonly OnnxTensor[]
  readonly outputs: readonly OnnxTensor[]
}

export interface OnnxTensor {
  readonly name: string
  readonly dtype: string
  readonly dims: readonly number[]
  readonly data: readonly number[]
}

export function readJson<T>(folder: string, file: string): T {
  return JSON.parse(readFileSync(join(folder, file), 'utf8')) as T
}

export function input(vector: OnnxVector, name: string): OnnxTensor | undefined {
  return vector.inputs.find((candidate) => candidate.name === name)
}

export function toTensor({ dims, data, dtype }: OnnxTensor): HostTensor {
  return tensor(data, dims, { dtype: dtype === 'float32' ? 'float32' : 'int32' })
}
