import { declarations, type Kernel } from '../kernel.ts'
import { gradientFunctions, gradientInterface, type GradientSpec } from '../snippets/gradient.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'

/** Of each axis of the scores, whether the bias has it (1) or repeats along it (0), by parameters `own0` … `own3`. */
export const biasAxes = ['own0', 'own1', 'own2', 'own3'] as const

/**
 * dBias, one invocation per element of the bias, which sums the gradients of all scores that it was added to, in order.
 */
export const gradientBias: Kernel<GradientSpec> = {
  name: 'gradient-bias',

  interface(spec) {
    const { parameters, buffers } = gradientInterface(spec)
    return {
      parameters: { ...parameters, own0: 'i32', own1: 'i32', own2: 'i32', own3: 'i32', count: 'i32' },
      buffers: { ...buffers, dBias: { type: 'array<f32>', access: 'read_write' } },
    }
  },

  code(spec) {
    const queryChunks = Math.ceil(spec.problem.headDim / 4)
    const valueChunks = Math.ceil(spec.problem.valueDim / 4)
    return `${declarations(this.interface(spec))}
${gradientFunctions(spec)}

${mainOf('index')}
  if (index >= parameters.count) { return; }
  let sizes = vec4i(parameters.batch, parameters.queryHeads, parameters.queryLength, parameters.keyLength);
  let own = vec4i(parameters.own0, parameters.own1, parameters.own2, parameters.own3);
  let ownSizes = select(vec4i(1), sizes, own == vec4i(1));
  let first = vec4i(
    index / (ownSizes.w * ownSizes.z * ownSizes.y), index / (ownSizes.w * ownSizes.z) % ownSizes.y,
    index / ownSizes.w % ownSizes.z, index % ownSizes.w);
  let end = select(sizes, first + 1, own == vec4i(1));

  var sum = 0.0;
  for (var batch = first.x; batch < end.x; batch++) {
    let validKeys = validKeysOf(batch);
    for (var head = first.y; head < end.y; head++) {
      for (var row = first.z; row < end.z; row++) {
        let position = positionOf(row, validKeys);
        let keyStart = max(first.w, firstKey(position, validKeys));
        let keyEnd = min(end.w, endKey(position, validKeys));
        for (var key = keyStart; key < keyEnd; key++) {
          let at = Pair(batch, head, position, key, row);
          if (!isSeen(at)) { continue; }
          let keyHead = head / parameters.group;
          var dots = vec4f();
          for (var c = 0; c < ${queryChunks}; c++) {
            dots = fma(queryVector(queryBase(batch, head, row), c), keyVector(keyBase(batch, keyHead, key), c), dots);
          }
          var dWeights = vec4f();
          for (var c = 0; c < ${valueChunks}; c++) {
            dWeights = fma(dOutputVector(dOutputBase(batch, head, row), c), valueVector(valueBase(batch, keyHead, key), c), dWeights);
          }
          let statistics = rowStatistics[rowIndex(batch, head, row)];
          let scaled = (dots.x + dots.y + dots.z + dots.w) * parameters.scale;
          sum += pairGradient(scaled, dWeights.x + dWeights.y + dWeights.z + dWeights.w, statistics, at).biased;
        }
      }
    }
  }
  dBias[index] = sum;
}
`
  },
}
