import type { FloatDtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { activations } from '../snippets/activation.wgsl.ts'
import { decodeBits, elementsPerWord, encodeBits, readBits } from '../snippets/bits.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'
import { walk, walkParameters } from '../snippets/walk.wgsl.ts'
import { elementwiseOperations, type ElementwiseOperation } from './elementwise-interface.ts'

export interface ElementwiseSpec {
  /** Of the left operand and of the output. */
  readonly left: FloatDtype
  readonly right: FloatDtype
  /** As many as are walked; see `walk.wgsl`. */
  readonly axes: number
}

/**
 * output[i] = f(left[i], right[i]), or f(left[i]), over any strides; the output is contiguous and each invocation writes a whole
 * word. Which f it is, `parameters.operation` says, the same for all invocations: choosing costs nothing beside memory.
 */
export const elementwise: Kernel<ElementwiseSpec> = {
  name: 'elementwise',

  interface: ({ axes }) => ({
    parameters: { operation: 'i32', count: 'i32', ...walkParameters(['left', 'right'], axes) },
    buffers: {
      left: { type: 'array<u32>', access: 'read' },
      right: { type: 'array<u32>', access: 'read' },
      output: { type: 'array<u32>', access: 'read_write' },
    },
  }),

  code(spec) {
    const { left, right, axes } = spec
    const per = elementsPerWord[left]
    const cases = elementwiseOperations.map((operation, number) => `case ${number}: { return ${resultOf(operation)}; }`)
    return `${declarations(this.interface(spec))}
${readBits('left', left)}
${decodeBits('left', left)}
${readBits('right', right)}
${decodeBits('right', right)}
${encodeBits(left)}
${Object.values(activations).join('\n')}

fn result(index: i32) -> f32 {
  ${walk('index', ['left', 'right'], axes)}
  let x = leftOf(leftBits(leftIndex));
  switch (parameters.operation) {
    ${cases.join('\n    ')}
    default: { return x; }
  }
}

${mainOf('item')}
  let first = item * ${per};
  if (first >= parameters.count) { return; }
  var word = 0u;
  for (var k = 0; k < ${per} && first + k < parameters.count; k++) { word |= encode(result(first + k)) << u32(${32 / per} * k); }
  output[item] = word;
}
`
  },
}

function resultOf(operation: ElementwiseOperation): string {
  switch (operation) {
    case 'add':
      return 'x + rightOf(rightBits(rightIndex))'
    case 'multiply':
      return 'x * rightOf(rightBits(rightIndex))'
    default:
      return `${operation.replace('-', '')}(x)`
  }
}
