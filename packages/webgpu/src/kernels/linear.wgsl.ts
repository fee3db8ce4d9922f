import { declarations, type Kernel } from '../kernel.ts'
import { readElement, readVector, writeVector } from '../snippets/elements.wgsl.ts'
import { addDot } from '../snippets/arithmetic.wgsl.ts'
import { chunkOrZeros, declareTile, firstStaged, multiplyRows, patchOf, stageRows } from '../snippets/tiles.wgsl.ts'
import type { TileShape } from '../snippets/tiling.ts'
import { linearInterface, type LinearSpec } from './linear-interface.ts'
import { linearTile } from './linear-tile.ts'

export interface LinearTilesSpec extends LinearSpec {
  /** Inputs are a multiple of what is staged of them at a time. */
  readonly whole: boolean
}

const [rowGroups, columns] = [8, 16] as const
const invocations = rowGroups * columns
const slots = linearTile.depth / 16
const [ownRows, ownOutputs] = [linearTile.rows / rowGroups, linearTile.outputs / columns]
const inputTile: TileShape = { name: 'inputTile', groups: rowGroups, parts: 8, slots }
const weightTile: TileShape = { name: 'weightTile', groups: columns, parts: 4, slots }
const [firstInput, firstWeight] = [firstStaged(inputTile, invocations), firstStaged(weightTile, invocations)]

/**
 * output = input · weightᵀ + bias for many rows, as prefill computes scores:
 *
 *     for each 32 elements of the inputs:
 *       stage them of the tile's rows of input and weight;  s += input · weight       12 loads for 128 multiply-adds
 *     output = s + bias
 */
export const linear: Kernel<LinearTilesSpec> = {
  name: 'linear',

  interface: linearInterface,

  code(spec) {
    const { bias, whole } = spec
    const dim = whole ? linearTile.depth : 'parameters.inputs'
    return `${declarations(linearInterface(spec))}
${readVector('input', spec.input, 'parameters.inputs')}
${readVector('weight', spec.weight, 'parameters.inputs')}
${bias === undefined ? '' : readElement('bias', bias)}
${writeVector('output', spec.output, 'parameters.outputs')}
${[inputTile, weightTile].map(declareTile).join('\n')}
fn inputAt(row: i32, chunk: i32) -> vec4f { return ${chunkOrZeros('input', 'row', dim)}; }
fn weightAt(row: i32, chunk: i32) -> vec4f { return ${chunkOrZeros('weight', 'row', dim)}; }
${addDot}

@compute @workgroup_size(${invocations})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  ${patchOf(columns)}
  let tile = i32(groupId.x) + parameters.firstGroup;
  let tilesAcross = (parameters.outputs + ${linearTile.outputs - 1}) / ${linearTile.outputs};
  let firstRow = tile / tilesAcross * ${linearTile.rows};
  let firstOutput = tile % tilesAcross * ${linearTile.outputs};
  let lastOutput = parameters.outputs - 1;

  /* The rows that this invocation stages. */
  var inputRows: array<i32, 2>;
  var weightRows: array<i32, 2>;
  for (var i = 0; i < 2; i++) {
    let row = firstRow + (4 * i + ${firstInput.part}) * ${rowGroups} + ${firstInput.group};
    inputRows[i] = parameters.inputOffset + min(row, parameters.rowCount - 1) * parameters.inputRowStride;
    let weight = firstOutput + 4 * ${firstWeight.group} + 2 * i + ${firstWeight.part};
    weightRows[i] = parameters.weightOffset + min(weight, lastOutput) * parameters.weightRowStride;
  }
  var s = array<vec4f, ${ownRows}>();
  for (var first = 0; 4 * first < parameters.inputs; first += ${4 * slots}) {
    workgroupBarrier();
    ${stageRows(inputTile, slots, invocations, ({ chunk }) => `inputAt(inputRows[i], first + ${chunk})`)}
    ${stageRows(weightTile, slots, invocations, ({ chunk }) => `weightAt(weightRows[i], first + ${chunk})`)}
    workgroupBarrier();
    ${multiplyRows(inputTile, weightTile, slots, () => 's[r]')}
  }

  let firstOwn = firstOutput + ${ownOutputs} * column;
  if (firstOwn > lastOutput) { return; }
  var offset = vec4f();
  ${bias === undefined ? '' : readOffset}
  for (var r = 0; r < ${ownRows}; r++) {
    let row = firstRow + rowGroup + r * ${rowGroups};
    if (row < parameters.rowCount) {
      outputStore(parameters.outputOffset + row * parameters.outputs, firstOwn >> 2u, s[r] + offset);
    }
  }
}
`
  },
}

const readOffset = `for (var j = 0; j < ${ownOutputs}; j++) {
    offset[j] = biasElement(parameters.biasOffset + min(firstOwn + j, lastOutput) * parameters.biasStride);
  }`
