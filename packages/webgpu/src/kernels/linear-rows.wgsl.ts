import { declarations, type Kernel } from '../kernel.ts'
import { readElement, readVector, writeVector } from '../snippets/elements.wgsl.ts'
import { linearInterface, type LinearSpec } from './linear-interface.ts'
import { mainOf } from '../snippets/main.wgsl.ts'

export interface LinearRowsSpec extends LinearSpec {
  /** Rows of the input that one invocation multiplies with its four rows of the weight. */
  readonly rows: 1 | 4
}

/**
 * output = input · weightᵀ + bias for few rows, one invocation per `rows` × 4 outputs: each vector of the weight that is loaded
 * serves `rows` dot products, each vector of the input four.
 */
export const linearRows: Kernel<LinearRowsSpec> = {
  name: 'linear-rows',

  interface: linearInterface,

  code(spec) {
    const { rows, bias } = spec
    const each = (code: (row: number) => string): string => [...new Array(rows).keys()].map(code).join('\n    ')
    return `${declarations(linearInterface(spec))}
${readVector('input', spec.input, 'parameters.inputs')}
${readVector('weight', spec.weight, 'parameters.inputs')}
${bias === undefined ? '' : readElement('bias', bias)}
${writeVector('output', spec.output, 'parameters.outputs')}

${mainOf('item')}
  let tiles = (parameters.outputs + 3) / 4;
  let row = item / tiles * ${rows};
  let tile = item % tiles;
  if (row >= parameters.rowCount) { return; }
  let lastRow = parameters.rowCount - 1;
  let lastOutput = parameters.outputs - 1;
  var weightRows: array<i32, 4>;
  for (var j = 0; j < 4; j++) {
    weightRows[j] = parameters.weightOffset + min(4 * tile + j, lastOutput) * parameters.weightRowStride;
  }
  ${each((r) => `let input${r} = parameters.inputOffset + min(row + ${r}, lastRow) * parameters.inputRowStride;`)}
  ${each((r) => `var sum${r} = mat4x4f();`)}
  for (var c = 0; 4 * c < parameters.inputs; c++) {
    ${each((r) => `let x${r} = inputVector(input${r}, c);`)}
    for (var j = 0; j < 4; j++) {
      let w = weightVector(weightRows[j], c);
      ${each((r) => `sum${r}[j] = fma(w, x${r}, sum${r}[j]);`)}
    }
  }
  ${
    bias === undefined
      ? 'let offset = vec4f();'
      : `var offset = vec4f();
  for (var j = 0; j < 4; j++) { offset[j] = biasElement(parameters.biasOffset + min(4 * tile + j, lastOutput) * parameters.biasStride); }`
  }
  let outputRow = parameters.outputOffset + row * parameters.outputs;
  ${each((r) => `if (row + ${r} <= lastRow) { outputStore(outputRow + ${r} * parameters.outputs, tile, vec4f(1) * sum${r} + offset); }`)}
}
`
  },
}
