import type { FloatDtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { declareElements, readElement, readVector, writeVector, type Access } from '../snippets/elements.wgsl.ts'

export interface NormaliseSpec {
  /** LayerNorm subtracts the mean; RMSNorm does not. */
  readonly centred: boolean
  readonly input: Access<FloatDtype>
  readonly weight: FloatDtype
  readonly bias: FloatDtype | undefined
  readonly output: Access<FloatDtype>
}

const groupSize = 64

/**
 * RMSNorm and LayerNorm, one workgroup per row: sums by a tree over the group, so that they are the same on every
 * device; the variance in a second pass over differences, so that a large mean costs no accuracy.
 */
export const normalise: Kernel<NormaliseSpec> = {
  name: 'normalise',

  interface: ({ input, weight, bias, output }) => ({
    parameters: {
      dim: 'i32',
      epsilon: 'f32',
      inputOffset: 'i32',
      inputStride3: 'i32',
      inputRowStride: 'i32',
      weightOffset: 'i32',
      weightStride: 'i32',
      ...(bias === undefined ? {} : { biasOffset: 'i32' as const, biasStride: 'i32' as const }),
      outputOffset: 'i32',
      outputStride3: 'i32',
    },
    buffers: {
      input: declareElements(input),
      weight: declareElements({ dtype: weight, vectors: false }),
      ...(bias === undefined ? {} : { bias: declareElements({ dtype: bias, vectors: false }) }),
      output: declareElements(output, 'read_write'),
    },
  }),

  code(spec) {
    const { centred, bias } = spec
    const dim = 'parameters.dim'
    const eachChunk = (code: string): string => `for (var c = lane; 4 * c < ${dim}; c += ${groupSize}) { ${code} }`
    const factors = (name: string): string =>
      `${name}Element(parameters.${name}Offset + min(4 * c + k, ${dim} - 1) * parameters.${name}Stride)`
    return `${declarations(this.interface(spec))}
${readVector('input', spec.input, dim)}
${readElement('weight', spec.weight)}
${bias === undefined ? '' : readElement('bias', bias)}
${writeVector('output', spec.output, dim)}

var<workgroup> sums: array<f32, ${groupSize}>;
fn sumOverGroup(x: f32, lane: i32) -> f32 {
  workgroupBarrier();
  sums[lane] = x;
  for (var half = ${groupSize / 2}; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) { sums[lane] += sums[lane + half]; }
  }
  workgroupBarrier();
  return sums[0];
}

@compute @workgroup_size(${groupSize})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let lane = i32(localIndex);
  let row = i32(groupId.x) + parameters.firstGroup;
  let inputRow = parameters.inputOffset + row * parameters.inputRowStride;
  var mean = 0.0;
  ${
    centred
      ? `var total = vec4f();
  ${eachChunk('total += inputVector(inputRow, c);')}
  mean = sumOverGroup(total.x + total.y + total.z + total.w, lane) / f32(${dim});`
      : ''
  }
  var squares = vec4f();
  ${eachChunk(`
    var x = inputVector(inputRow, c) - mean;
    ${centred && !spec.input.vectors ? `x *= vec4f(4 * c + vec4i(0, 1, 2, 3) < vec4i(${dim}));` : ''}
    squares = fma(x, x, squares);
  `)}
  let variance = sumOverGroup(squares.x + squares.y + squares.z + squares.w, lane) / f32(${dim});
  let factor = 1.0 / sqrt(variance + parameters.epsilon);
  ${eachChunk(`
    var y = (inputVector(inputRow, c) - mean) * factor;
    for (var k = 0; k < 4; k++) { y[k] = y[k] * ${factors('weight')}${bias === undefined ? '' : ` + ${factors('bias')}`}; }
    outputStore(parameters.outputOffset + row * ${dim}, c, y);
  `)}
}
`
  },
}
