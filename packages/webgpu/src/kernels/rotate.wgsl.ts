import type { FloatDtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { declareElements, readElement, writeVector, type Access } from '../snippets/elements.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'
import { base } from '../snippets/problem.wgsl.ts'

export interface RotateSpec {
  readonly headDim: number
  /** Leading elements that rotate. */
  readonly dim: number
  readonly layout: 'half' | 'interleaved'
  readonly input: FloatDtype
  readonly table: FloatDtype
  readonly output: Access<FloatDtype>
}

/**
 * Rotary encoding, one invocation per four elements of a vector: pairs (a, b) become (a·cos − b·sin, a·sin + b·cos).
 * Angles come as tables, since WGSL's own cosine is too coarse for distant positions.
 */
export const rotate: Kernel<RotateSpec> = {
  name: 'rotate',

  interface({ input, table, output }) {
    const layout = (name: string): Record<string, 'i32'> =>
      Object.fromEntries(
        [`${name}Offset`, ...[0, 1, 2, 3].map((axis) => `${name}Stride${axis}`)].map((key) => [key, 'i32' as const]),
      )
    const plain = (dtype: FloatDtype) => declareElements({ dtype, vectors: false })
    return {
      parameters: {
        rows: 'i32',
        heads: 'i32',
        length: 'i32',
        ...layout('input'),
        ...layout('cosine'),
        ...layout('sine'),
        ...layout('output'),
      },
      buffers: {
        input: plain(input),
        cosine: plain(table),
        sine: plain(table),
        output: declareElements(output, 'read_write'),
      },
    }
  },

  code(spec) {
    const { headDim, dim, layout } = spec
    const chunks = Math.ceil(headDim / 4)
    const isFirst = layout === 'half' ? `d < ${dim / 2}` : '(d & 1) == 0'
    const partner = layout === 'half' ? `select(d - ${dim / 2}, d + ${dim / 2}, isFirst)` : 'd ^ 1'
    const angle = layout === 'half' ? `select(d - ${dim / 2}, d, isFirst)` : 'd >> 1'
    return `${declarations(this.interface(spec))}
${readElement('input', spec.input)}
${readElement('cosine', spec.table)}
${readElement('sine', spec.table)}
${base('input')}
${base('cosine')}
${base('sine')}
${base('output')}
${writeVector('output', spec.output, headDim)}

${mainOf('item')}
  let row = item / ${chunks};
  let chunk = item % ${chunks};
  if (row >= parameters.rows) { return; }
  let position = row % parameters.length;
  let plane = row / parameters.length;
  let batch = plane / parameters.heads;
  let head = plane % parameters.heads;
  let inputRow = inputBase(batch, head, position);
  let cosineRow = cosineBase(batch, head, position);
  let sineRow = sineBase(batch, head, position);
  var result = vec4f();
  for (var k = 0; k < 4; k++) {
    let d = 4 * chunk + k;
    if (d >= ${headDim}) { break; }
    let own = inputElement(inputRow + d * parameters.inputStride3);
    if (d >= ${dim}) { result[k] = own; continue; }
    let isFirst = ${isFirst};
    let other = inputElement(inputRow + (${partner}) * parameters.inputStride3);
    let angle = ${angle};
    let c = cosineElement(cosineRow + angle * parameters.cosineStride3);
    let s = sineElement(sineRow + angle * parameters.sineStride3);
    result[k] = own * c + select(other, -other, isFirst) * s;
  }
  outputStore(outputBase(batch, head, position), chunk, result);
}
`
  },
}
