import { declarations, type Kernel } from '../kernel.ts'
import { attentionFunctions, attentionInterface, type AttentionSpec } from '../snippets/attention.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'
import { isPlain } from '../snippets/problem.wgsl.ts'

/**
 * Attention, one invocation per query row (or per share of a row's keys, a split):
 *
 *     m, l, o = −∞, 0, 0                        running maximum, sum of exponentials, weighted sum of values
 *     for each key the row can see:
 *       s = score(q · k) · log₂e                exponentials are powers of two
 *       if s > m: l, o scaled by 2^(m − s); m = s
 *       p = 2^(s − m);  l += p;  o += p · v
 *     output = o / l;  lse = m · ln 2 + ln l
 *
 * A row that sees no key keeps l = 0 and is written as zeros with lse −∞. A sink is a key without a value.
 * No workgroup memory, no barriers: what software adapters run best.
 */
export const attentionRows: Kernel<AttentionSpec> = {
  name: 'attention-rows',

  interface: (spec) => attentionInterface(spec, { splits: 'i32', outputSplitStride: 'i32' }),

  code(spec) {
    const { problem } = spec
    const queryChunks = Math.max(1, Math.ceil(problem.headDim / 4))
    const valueChunks = Math.max(1, Math.ceil(problem.valueDim / 4))
    return `${declarations(this.interface(spec))}
${attentionFunctions(spec)}

${mainOf('index')}
  let rows = parameters.batch * parameters.queryHeads * parameters.queryLength;
  if (index >= rows * parameters.splits) { return; }
  let split = index / rows;
  let row = index % parameters.queryLength;
  let plane = (index % rows) / parameters.queryLength;
  let batch = plane / parameters.queryHeads;
  let head = plane % parameters.queryHeads;
  let keyHead = head / parameters.group;

  var q: array<vec4f, ${queryChunks}>;
  let queryRow = queryBase(batch, head, row);
  for (var c = 0; c < ${queryChunks}; c++) { q[c] = queryVector(queryRow, c) * parameters.scale${isPlain(problem) ? ' * log2e' : ''}; }

  let validKeys = validKeysOf(batch);
  let position = positionOf(row, validKeys);
  let firstOfAll = firstKey(position, validKeys);
  let endOfAll = endKey(position, validKeys);
  let perSplit = (max(0, endOfAll - firstOfAll) + parameters.splits - 1) / parameters.splits;
  let first = firstOfAll + split * perSplit;
  let end = min(first + perSplit, endOfAll);

  var m = lowest;
  var l = 0.0;
  var o: array<vec4f, ${valueChunks}>;
  ${problem.sinks ? 'if (split == 0) { m = sinkOf(head); l = select(0.0, 1.0, m > lowest); }' : ''}
  for (var key = first; key < end; key++) {
    let at = Pair(batch, head, position, key, row);
    if (!isVisible(at)) { continue; }
    let keyRow = keyBase(batch, keyHead, key);
    var dots = vec4f();
    for (var c = 0; c < ${queryChunks}; c++) { dots = fma(q[c], keyVector(keyRow, c), dots); }
    let scaled = (dots.x + dots.y) + (dots.z + dots.w);
    let s = ${isPlain(problem) ? 'scaled' : 'finalScore(scaled, at) * log2e'};
    ${isPlain(problem) ? '' : 'if (s <= lowest) { continue; }'}
    if (s > m) {
      let rescale = exp2(m - s);
      l *= rescale;
      for (var c = 0; c < ${valueChunks}; c++) { o[c] *= rescale; }
      m = s;
    }
    let p = exp2(s - m);
    l += p;
    ${problem.dropout ? 'let weight = p * kept(at);' : 'let weight = p;'}
    let valueRow = valueBase(batch, keyHead, key);
    for (var c = 0; c < ${valueChunks}; c++) { o[c] = fma(vec4f(weight), valueVector(valueRow, c), o[c]); }
  }

  let total = select(l, 1.0, l == 0.0);
  let outputRow = outputBase(batch, head, row) + split * parameters.outputSplitStride;
  for (var c = 0; c < ${valueChunks}; c++) { outputStore(outputRow, c, o[c] / total); }
  lse[index] = lseBits(m, l);
}
`
  },
}
