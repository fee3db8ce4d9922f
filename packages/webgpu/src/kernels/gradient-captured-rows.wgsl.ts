import { declarations, type Kernel } from '../kernel.ts'
import { gradientFunctions, gradientInterface, type GradientSpec } from '../snippets/gradient.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'

export interface GradientCapturedSpec extends GradientSpec {
  /** WGSL of `readElementN(at, score)` and `readDerivativeN(at, score)` for each place where the expression reads the tensor. */
  readonly readsCode: string
  readonly reads: number
}

/**
 * The gradient of a tensor that the score expression reads, in several copies: one invocation per copy, which adds what
 * every `copies`-th row's pairs give to the elements they read. The copies are summed afterwards, in order, so the
 * result needs no atomics and is the same every time.
 */
export const gradientCapturedRows: Kernel<GradientCapturedSpec> = {
  name: 'gradient-captured-rows',

  interface(spec) {
    const { parameters, buffers } = gradientInterface(spec)
    return {
      parameters: { ...parameters, copies: 'i32', elements: 'i32' },
      buffers: { ...buffers, partial: { type: 'array<f32>', access: 'read_write' } },
    }
  },

  code(spec) {
    const queryChunks = Math.ceil(spec.problem.headDim / 4)
    const valueChunks = Math.ceil(spec.problem.valueDim / 4)
    const adds = Array.from(
      { length: spec.reads },
      (_, read) => `partial[first + readElement${read}(at, g.score)] += g.changed * readDerivative${read}(at, g.score);`,
    )
    return `${declarations(this.interface(spec))}
${gradientFunctions(spec)}
${spec.readsCode}

${mainOf('copy')}
  if (copy >= parameters.copies) { return; }
  let first = copy * parameters.elements;
  for (var element = 0; element < parameters.elements; element++) { partial[first + element] = 0.0; }
  let rows = parameters.batch * parameters.queryHeads * parameters.queryLength;
  for (var index = copy; index < rows; index += parameters.copies) {
    let row = index % parameters.queryLength;
    let plane = index / parameters.queryLength;
    let batch = plane / parameters.queryHeads;
    let head = plane % parameters.queryHeads;
    let keyHead = head / parameters.group;
    let queryRow = queryBase(batch, head, row);
    let dOutputRow = dOutputBase(batch, head, row);
    let validKeys = validKeysOf(batch);
    let position = positionOf(row, validKeys);
    let end = endKey(position, validKeys);
    for (var key = firstKey(position, validKeys); key < end; key++) {
      let at = Pair(batch, head, position, key, row);
      if (!isSeen(at)) { continue; }
      let keyRow = keyBase(batch, keyHead, key);
      var dots = vec4f();
      for (var c = 0; c < ${queryChunks}; c++) { dots = fma(queryVector(queryRow, c), keyVector(keyRow, c), dots); }
      let valueRow = valueBase(batch, keyHead, key);
      var dWeights = vec4f();
      for (var c = 0; c < ${valueChunks}; c++) { dWeights = fma(dOutputVector(dOutputRow, c), valueVector(valueRow, c), dWeights); }
      let scaled = (dots.x + dots.y + dots.z + dots.w) * parameters.scale;
      let g = pairGradient(scaled, dWeights.x + dWeights.y + dWeights.z + dWeights.w, rowStatistics[index], at);
      ${adds.join('\n      ')}
    }
  }
}
`
  },
}
