import type { Dtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { decodeBits, elementsPerWord, encodeBits, readBits } from '../snippets/bits.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'
import { walk, walkParameters } from '../snippets/walk.wgsl.ts'

export interface CopySpec {
  readonly source: Dtype
  readonly output: Dtype
  /** Whether the output has strides of its own; otherwise it is contiguous and each invocation writes a whole word. */
  readonly strided: boolean
  /** As many as are walked; see `walk.wgsl`. */
  readonly axes: number
}

/**
 * output[i] = source[i] over any strides. A copy that keeps the dtype moves bits and never looks at values. Narrow elements of a
 * strided output share words with elements that are not ours: only their own bits are touched, atomically, so neighbours may be
 * written by other invocations at the same time.
 */
export const copy: Kernel<CopySpec> = {
  name: 'copy',

  interface({ output, strided, axes }) {
    const sharesWords = strided && elementsPerWord[output] > 1
    return {
      parameters: {
        count: 'i32',
        ...walkParameters(strided ? ['source', 'output'] : ['source'], axes),
        ...(strided ? {} : { outputOffset: 'i32' }),
      },
      buffers: {
        source: { type: 'array<u32>', access: 'read' },
        output: { type: sharesWords ? 'array<atomic<u32>>' : 'array<u32>', access: 'read_write' },
      },
    }
  },

  code(spec) {
    const { source, output, strided, axes } = spec
    const bits = source === output ? 'sourceBits(sourceIndex)' : 'encode(sourceOf(sourceBits(sourceIndex)))'
    return `${declarations(this.interface(spec))}
${readBits('source', source)}
${source === output ? '' : decodeBits('source', source) + encodeBits(output)}

${mainOf('item')}
  ${strided ? writeElement(output, bits, axes) : writeWord(output)}
}
${strided ? '' : `fn copiedBits(index: i32) -> u32 { ${walk('index', ['source'], axes)} return ${bits}; }`}
`
  },
}

/** One element, wherever it lies. */
function writeElement(output: Dtype, bits: string, axes: number): string {
  const per = elementsPerWord[output]
  const mask = `${2 ** (32 / per) - 1}u`
  return `if (item >= parameters.count) { return; }
  ${walk('item', ['source', 'output'], axes)}
  let bits = ${bits};
  ${
    per === 1
      ? 'output[outputIndex] = bits;'
      : `let shift = u32(${32 / per} * (outputIndex % ${per}));
  atomicAnd(&output[outputIndex / ${per}], ~(${mask} << shift));
  atomicOr(&output[outputIndex / ${per}], bits << shift);`
  }`
}

/** As many neighbours as fill a word. */
function writeWord(output: Dtype): string {
  const per = elementsPerWord[output]
  return `let first = item * ${per};
  if (first >= parameters.count) { return; }
  var word = 0u;
  for (var k = 0; k < ${per} && first + k < parameters.count; k++) { word |= copiedBits(first + k) << u32(${32 / per} * k); }
  output[parameters.outputOffset + item] = word;`
}
