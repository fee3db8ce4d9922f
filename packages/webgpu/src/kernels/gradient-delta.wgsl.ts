import type { FloatDtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { declareElements, declareStrides, readVector, type Access } from '../snippets/elements.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'
import { base } from '../snippets/problem.wgsl.ts'

export interface GradientDeltaSpec {
  readonly valueDim: number
  readonly output: Access<FloatDtype>
  readonly dOutput: Access<FloatDtype>
}

/**
 * What the other gradient kernels need of each row: (lse · log₂e, δ = dO · o), one invocation per row. δ is the sum of
 * p · dP over all keys, so nobody has to sum it again. A row that saw no key has no pair that would ask for it.
 */
export const gradientDelta: Kernel<GradientDeltaSpec> = {
  name: 'gradient-delta',

  interface({ output, dOutput }) {
    return {
      parameters: {
        rows: 'i32',
        heads: 'i32',
        queryLength: 'i32',
        lseOffset: 'i32',
        ...declareStrides('output'),
        ...declareStrides('dOutput'),
      },
      buffers: {
        output: declareElements(output),
        dOutput: declareElements(dOutput),
        lse: { type: 'array<u32>', access: 'read' },
        rowStatistics: { type: 'array<vec2f>', access: 'read_write' },
      },
    }
  },

  code(spec) {
    return `${declarations(this.interface(spec))}
${readVector('output', spec.output, spec.valueDim)}
${readVector('dOutput', spec.dOutput, spec.valueDim)}
${base('output')}
${base('dOutput')}

${mainOf('index')}
  if (index >= parameters.rows) { return; }
  let row = index % parameters.queryLength;
  let plane = index / parameters.queryLength;
  let outputRow = outputBase(plane / parameters.heads, plane % parameters.heads, row);
  let dOutputRow = dOutputBase(plane / parameters.heads, plane % parameters.heads, row);
  var sums = vec4f();
  for (var c = 0; c < ${Math.ceil(spec.valueDim / 4)}; c++) { sums = fma(outputVector(outputRow, c), dOutputVector(dOutputRow, c), sums); }
  let bits = lse[parameters.lseOffset + index];
  let logSum = select(bitcast<f32>(bits) * 1.4426950408889634, 0.0, bits == 0xff800000u);
  rowStatistics[index] = vec2f(logSum, (sums.x + sums.y) + (sums.z + sums.w));
}
`
  },
}
