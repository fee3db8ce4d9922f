import type { FloatDtype } from '@qkv/core'
import type { KernelInterface } from '../kernel.ts'
import { declareElements, type Access } from '../snippets/elements.wgsl.ts'

export interface LinearSpec {
  readonly input: Access<FloatDtype>
  readonly weight: Access<FloatDtype>
  readonly bias: FloatDtype | undefined
  readonly output: Access<FloatDtype>
}

export function linearInterface({ input, weight, bias, output }: LinearSpec): KernelInterface {
  return {
    parameters: {
      rowCount: 'i32',
      inputs: 'i32',
      outputs: 'i32',
      inputOffset: 'i32',
      inputStride3: 'i32',
      inputRowStride: 'i32',
      weightOffset: 'i32',
      weightStride3: 'i32',
      weightRowStride: 'i32',
      ...(bias === undefined ? {} : { biasOffset: 'i32' as const, biasStride: 'i32' as const }),
      outputOffset: 'i32',
      outputStride3: 'i32',
    },
    buffers: {
      input: declareElements(input),
      weight: declareElements(weight),
      ...(bias === undefined ? {} : { bias: declareElements({ dtype: bias, vectors: false }) }),
      output: declareElements(output, 'read_write'),
    },
  }
}
