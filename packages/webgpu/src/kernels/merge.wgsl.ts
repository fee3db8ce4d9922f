import type { FloatDtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { declareElements, declareStrides, writeVector, type Access } from '../snippets/elements.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'
import { base } from '../snippets/problem.wgsl.ts'

export interface MergeSpec {
  readonly valueDim: number
  readonly output: Access<FloatDtype>
  /** Whether the device has counted the parts, in a word of `counts`. */
  readonly counted: boolean
}

/**
 * The whole from attention over parts of the keys, one invocation per four elements of an output row:
 *
 *     M = max over parts of lse;  w = e^(lse − M);  output = Σ w · output / Σ w;  lse = M + ln Σ w
 *
 * A part that saw no key (lse −∞, compared as bits) is skipped, and a row without any is zeros and −∞.
 * Parts lie one after another: float32 `[parts, rows, valueDim]` and `[parts, rows]`.
 */
export const merge: Kernel<MergeSpec> = {
  name: 'merge',

  interface: ({ output, counted }) => ({
    parameters: {
      ...(counted ? { partsAt: 'i32' as const } : { parts: 'i32' as const }),
      rows: 'i32',
      heads: 'i32',
      queryLength: 'i32',
      ...declareStrides('output'),
    },
    buffers: {
      partial: { type: 'array<f32>', access: 'read' },
      partialLse: { type: 'array<u32>', access: 'read' },
      output: declareElements(output, 'read_write'),
      lse: { type: 'array<u32>', access: 'read_write' },
      ...(counted ? { counts: { type: 'array<u32>', access: 'read' as const } } : {}),
    },
  }),

  code(spec) {
    const chunks = Math.max(1, Math.ceil(spec.valueDim / 4))
    return `${declarations(this.interface(spec))}
${writeVector('output', spec.output, spec.valueDim)}
${base('output')}
const empty = 0xff800000u;

${mainOf('index')}
  let row = index / ${chunks};
  let chunk = index % ${chunks};
  if (row >= parameters.rows) { return; }

  let parts = ${spec.counted ? 'i32(counts[parameters.partsAt])' : 'parameters.parts'};
  var largest = -1.7e38;
  for (var part = 0; part < parts; part++) {
    let bits = partialLse[part * parameters.rows + row];
    if (bits != empty) { largest = max(largest, bitcast<f32>(bits)); }
  }
  var total = 0.0;
  var sum = vec4f();
  for (var part = 0; part < parts; part++) {
    let bits = partialLse[part * parameters.rows + row];
    if (bits == empty) { continue; }
    let weight = exp(bitcast<f32>(bits) - largest);
    total += weight;
    let start = (part * parameters.rows + row) * ${spec.valueDim} + 4 * chunk;
    for (var lane = 0; lane < min(4, ${spec.valueDim} - 4 * chunk); lane++) { sum[lane] += weight * partial[start + lane]; }
  }
  let none = total == 0.0;
  let divisor = select(total, 1.0, none);
  let plane = row / parameters.queryLength;
  outputStore(outputBase(plane / parameters.heads, plane % parameters.heads, row % parameters.queryLength), chunk, sum / divisor);
  if (chunk == 0) { lse[row] = select(bitcast<u32>(largest + log(divisor)), empty, none); }
}
`
  },
}
