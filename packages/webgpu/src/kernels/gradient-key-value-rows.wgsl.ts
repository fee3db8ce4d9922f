import { declarations, type Kernel } from '../kernel.ts'
import { gradientFunctions, gradientInterface, type GradientSpec } from '../snippets/gradient.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'

/**
 * dK and dV, one invocation per key row. It walks the rows that see its key, of every query head that shares its head,
 * so the sum over a group is made in registers, in a fixed order, without atomics:
 *
 *     dv = Σ p · dO        dk = Σ d(scale · q·k) · scale · q
 */
export const gradientKeyValueRows: Kernel<GradientSpec> = {
  name: 'gradient-key-value-rows',

  interface(spec) {
    const { parameters, buffers } = gradientInterface(spec)
    return {
      parameters: { ...parameters, dKeyOffset: 'i32', dValueOffset: 'i32' },
      buffers: { ...buffers, gradients: { type: 'array<f32>', access: 'read_write' } },
    }
  },

  code(spec) {
    const { headDim, valueDim } = spec.problem
    const queryChunks = Math.max(1, Math.ceil(headDim / 4))
    const valueChunks = Math.max(1, Math.ceil(valueDim / 4))
    return `${declarations(this.interface(spec))}
${gradientFunctions(spec)}

${mainOf('index')}
  if (index >= parameters.batch * parameters.keyHeads * parameters.keyLength) { return; }
  let key = index % parameters.keyLength;
  let plane = index / parameters.keyLength;
  let batch = plane / parameters.keyHeads;
  let keyHead = plane % parameters.keyHeads;
  let validKeys = validKeysOf(batch);

  var k: array<vec4f, ${queryChunks}>;
  var v: array<vec4f, ${valueChunks}>;
  var dk: array<vec4f, ${queryChunks}>;
  var dv: array<vec4f, ${valueChunks}>;
  if (key < validKeys) {
    let keyRow = keyBase(batch, keyHead, key);
    for (var c = 0; c < ${queryChunks}; c++) { k[c] = keyVector(keyRow, c) * parameters.scale; }
    let valueRow = valueBase(batch, keyHead, key);
    for (var c = 0; c < ${valueChunks}; c++) { v[c] = valueVector(valueRow, c); }

    /* The positions that see this key, as rows. */
    let shift = positionOf(0, validKeys);
    let firstRow = clamp(key - parameters.right - shift, 0, parameters.queryLength);
    let endRow = clamp(key + parameters.left + 1 - shift, 0, parameters.queryLength);
    for (var member = 0; member < parameters.group; member++) {
      let head = keyHead * parameters.group + member;
      for (var row = firstRow; row < endRow; row++) {
        let at = Pair(batch, head, row + shift, key, row);
        if (!isSeen(at)) { continue; }
        let queryRow = queryBase(batch, head, row);
        var dots = vec4f();
        for (var c = 0; c < ${queryChunks}; c++) { dots = fma(queryVector(queryRow, c), k[c], dots); }
        let dOutputRow = dOutputBase(batch, head, row);
        var dWeights = vec4f();
        for (var c = 0; c < ${valueChunks}; c++) { dWeights = fma(dOutputVector(dOutputRow, c), v[c], dWeights); }
        let statistics = rowStatistics[rowIndex(batch, head, row)];
        let g = pairGradient(dots.x + dots.y + dots.z + dots.w, dWeights.x + dWeights.y + dWeights.z + dWeights.w, statistics, at);
        for (var c = 0; c < ${queryChunks}; c++) { dk[c] = fma(vec4f(g.scaled), queryVector(queryRow, c), dk[c]); }
        for (var c = 0; c < ${valueChunks}; c++) { dv[c] = fma(vec4f(g.weight), dOutputVector(dOutputRow, c), dv[c]); }
      }
    }
  }
  for (var c = 0; c < ${headDim}; c++) { gradients[parameters.dKeyOffset + index * ${headDim} + c] = dk[c / 4][c % 4] * parameters.scale; }
  for (var c = 0; c < ${valueDim}; c++) { gradients[parameters.dValueOffset + index * ${valueDim} + c] = dv[c / 4][c % 4]; }
}
`
  },
}
