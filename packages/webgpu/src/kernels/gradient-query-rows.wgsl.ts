import { declarations, type Kernel } from '../kernel.ts'
import { gradientFunctions, gradientInterface, type GradientSpec } from '../snippets/gradient.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'

/**
 * dQ, one invocation per query row: for each key it sees, the pair's gradient, recomputed, times the key:
 *
 *     dq = Σ d(scale · q·k) · scale · k
 */
export const gradientQueryRows: Kernel<GradientSpec> = {
  name: 'gradient-query-rows',

  interface(spec) {
    const { parameters, buffers } = gradientInterface(spec)
    return { parameters, buffers: { ...buffers, dQuery: { type: 'array<f32>', access: 'read_write' } } }
  },

  code(spec) {
    const { headDim, valueDim } = spec.problem
    const queryChunks = Math.max(1, Math.ceil(headDim / 4))
    const valueChunks = Math.max(1, Math.ceil(valueDim / 4))
    return `${declarations(this.interface(spec))}
${gradientFunctions(spec)}

${mainOf('index')}
  if (index >= parameters.batch * parameters.queryHeads * parameters.queryLength) { return; }
  let row = index % parameters.queryLength;
  let plane = index / parameters.queryLength;
  let batch = plane / parameters.queryHeads;
  let head = plane % parameters.queryHeads;
  let keyHead = head / parameters.group;

  var q: array<vec4f, ${queryChunks}>;
  let queryRow = queryBase(batch, head, row);
  for (var c = 0; c < ${queryChunks}; c++) { q[c] = queryVector(queryRow, c) * parameters.scale; }
  var dOut: array<vec4f, ${valueChunks}>;
  let dOutputRow = dOutputBase(batch, head, row);
  for (var c = 0; c < ${valueChunks}; c++) { dOut[c] = dOutputVector(dOutputRow, c); }
  let statistics = rowStatistics[index];

  var dq: array<vec4f, ${queryChunks}>;
  let validKeys = validKeysOf(batch);
  let position = positionOf(row, validKeys);
  let end = endKey(position, validKeys);
  for (var key = firstKey(position, validKeys); key < end; key++) {
    let at = Pair(batch, head, position, key, row);
    if (!isSeen(at)) { continue; }
    let keyRow = keyBase(batch, keyHead, key);
    var dots = vec4f();
    for (var c = 0; c < ${queryChunks}; c++) { dots = fma(q[c], keyVector(keyRow, c), dots); }
    let valueRow = valueBase(batch, keyHead, key);
    var dWeights = vec4f();
    for (var c = 0; c < ${valueChunks}; c++) { dWeights = fma(dOut[c], valueVector(valueRow, c), dWeights); }
    let d = pairGradient(dots.x + dots.y + dots.z + dots.w, dWeights.x + dWeights.y + dWeights.z + dWeights.w, statistics, at).scaled;
    for (var c = 0; c < ${queryChunks}; c++) { dq[c] = fma(vec4f(d), keyVector(keyRow, c), dq[c]); }
  }
  for (var c = 0; c < ${headDim}; c++) { dQuery[index * ${headDim} + c] = dq[c / 4][c % 4] * parameters.scale; }
}
`
  },
}
