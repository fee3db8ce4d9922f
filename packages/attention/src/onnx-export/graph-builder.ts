import { toFloat32, type HostTensor } from '@qkv/core'
import type { OnnxConstant, OnnxNode } from './model.ts'

/** Collects a graph's steps and constants; each method gives the name of what it made. */
export class GraphBuilder {
  readonly nodes: OnnxNode[] = []
  readonly constants: OnnxConstant[] = []

  /** What is alike is kept once, by its first name. */
  constant(name: string, view: HostTensor): string {
    const made = { name, shape: view.shape, values: toFloat32(view) }
    const known = this.constants.find((each) => areAlike(each, made))
    if (known === undefined) this.constants.push(made)
    return (known ?? made).name
  }

  step(operator: string, inputs: readonly string[], output: string, attributes?: OnnxNode['attributes']): string {
    this.nodes.push({ operator, inputs, outputs: [output], attributes })
    return output
  }

  /** Sizes of 0 stay what they are in the input. */
  reshape(input: string, sizes: readonly number[], output: string): string {
    const shape = `${output}.shape`
    this.constants.push({ name: shape, shape: [sizes.length], values: BigInt64Array.from(sizes, BigInt) })
    return this.step('Reshape', [input, shape], output)
  }
}

function areAlike(a: OnnxConstant, b: OnnxConstant): boolean {
  return String(a.shape) === String(b.shape) && a.values.every((value, index) => value === b.values[index])
}
