import type { Activation, Dtype } from '@qkv/core'
import { declarations, type Kernel, invocationsPerGroup } from '../kernel.ts'
import { activationFunction } from '../snippets/activation.wgsl.ts'
import { decodeBits, elementsPerWord, encodeBits, readBits } from '../snippets/bits.wgsl.ts'
import { declareStrides } from '../snippets/elements.wgsl.ts'

export interface ElementwiseSpec {
  readonly operation: 'copy' | 'add' | 'multiply' | Activation
  readonly rank: number
  readonly left: Dtype
  readonly right: Dtype | undefined
  readonly output: Dtype
  /** Whether the output has strides of its own; otherwise it is contiguous and each invocation writes a whole word. */
  readonly strided: boolean
}

/**
 * output[i] = f(left[i], right[i]) over any strides. A copy that keeps the dtype moves bits and never looks at values.
 * Narrow elements of a strided output share words with elements that are not ours: only their own bits are touched,
 * atomically, so neighbours may be written by other invocations at the same time.
 */
export const elementwise: Kernel<ElementwiseSpec> = {
  name: 'elementwise',

  interface({ rank, right, output, strided }) {
    const axes = [...new Array(rank).keys()]
    return {
      parameters: {
        count: 'i32',
        ...Object.fromEntries(axes.map((axis) => [`size${axis}`, 'i32' as const])),
        ...declareStrides('left', rank),
        ...(right === undefined ? {} : declareStrides('right', rank)),
        ...(strided ? declareStrides('output', rank) : { outputOffset: 'i32' }),
      },
      buffers: {
        left: { type: 'array<u32>', access: 'read' },
        ...(right === undefined ? {} : { right: { type: 'array<u32>', access: 'read' } }),
        output: {
          type: strided && elementsPerWord[output] > 1 ? 'array<atomic<u32>>' : 'array<u32>',
          access: 'read_write',
        },
      },
    }
  },

  code(spec) {
    const { operation, rank, left, right, output, strided } = spec
    const per = elementsPerWord[output]
    const moves = operation === 'copy' && left === output
    const indices = (name: string): string => `var ${name}Index = parameters.${name}Offset;`
    const names = ['left', ...(right === undefined ? [] : ['right']), ...(strided ? ['output'] : [])]
    const walk = [...new Array(rank).keys()].reverse().map(
      (axis) => `
  { let i = rest % parameters.size${axis}; rest /= parameters.size${axis};
    ${names.map((name) => `${name}Index += i * parameters.${name}Stride${axis};`).join(' ')} }`,
    )
    const value =
      {
        copy: 'leftOf(leftBits(leftIndex))',
        add: 'leftOf(leftBits(leftIndex)) + rightOf(rightBits(rightIndex))',
        multiply: 'leftOf(leftBits(leftIndex)) * rightOf(rightBits(rightIndex))',
      }[operation as 'copy' | 'add' | 'multiply'] ?? 'activation(leftOf(leftBits(leftIndex)))'
    const isActivation = operation !== 'copy' && operation !== 'add' && operation !== 'multiply'
    const mask = `${2 ** (32 / per) - 1}u`
    return `${declarations(this.interface(spec))}
${readBits('left', left)}
${moves ? '' : decodeBits('left', left)}
${right === undefined ? '' : readBits('right', right) + decodeBits('right', right)}
${isActivation ? activationFunction(operation) : ''}
${moves ? '' : encodeBits(output)}
${strided ? 'var<private> outputIndex: i32;' : ''}

fn resultBits(index: i32) -> u32 {
  var rest = index;
  ${names
    .filter((name) => name !== 'output')
    .map(indices)
    .join(' ')}${strided ? ' outputIndex = parameters.outputOffset;' : ''}${walk.join('')}
  return ${moves ? 'leftBits(leftIndex)' : `encode(${value})`};
}

@compute @workgroup_size(${invocationsPerGroup})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let item = (i32(groupId.x) + parameters.firstGroup) * ${invocationsPerGroup} + i32(lane);
  ${
    strided
      ? `if (item >= parameters.count) { return; }
  let bits = resultBits(item);
  ${
    per === 1
      ? 'output[outputIndex] = bits;'
      : `let shift = u32(${32 / per} * (outputIndex % ${per}));
  atomicAnd(&output[outputIndex / ${per}], ~(${mask} << shift));
  atomicOr(&output[outputIndex / ${per}], bits << shift);`
  }`
      : `let first = item * ${per};
  if (first >= parameters.count) { return; }
  var word = 0u;
  for (var k = 0; k < ${per} && first + k < parameters.count; k++) { word |= resultBits(first + k) << u32(${32 / per} * k); }
  output[parameters.outputOffset + item] = word;`
  }
}
`
  },
}
