import type { FloatDtype } from '@qkv/core'
import type { KernelInterface } from '../kernel.ts'
import { declareElements, declareStrides, writeVector, type Access } from './elements.wgsl.ts'
import { base, problemFunctions, problemInterface, type ProblemSpec } from './problem.wgsl.ts'

export interface AttentionSpec {
  readonly problem: ProblemSpec
  readonly output: Access<FloatDtype>
}

/** What every kernel of attention reads and writes, with `parameters` of its own. */
export function attentionInterface(
  { problem, output }: AttentionSpec,
  parameters: KernelInterface['parameters'],
  blockMap = false,
): KernelInterface {
  const asked = problemInterface(problem, blockMap)
  return {
    parameters: { ...asked.parameters, ...parameters, ...declareStrides('output') },
    buffers: {
      ...asked.buffers,
      output: declareElements(output, 'read_write'),
      lse: { type: 'array<u32>', access: 'read_write' },
    },
  }
}

/**
 * The functions of the problem, and with them `outputBase(batch, head, row)`, `outputStore(base, chunk, x)` and
 * `lseBits(m, l) -> u32`: the log-sum-exp of a row with maximum m, in powers of two, and sum l. Where it has seen nothing it is
 * −∞, which WGSL has no number for.
 */
export function attentionFunctions({ problem, output }: AttentionSpec): string {
  return `${problemFunctions(problem)}
${writeVector('output', output, problem.valueDim)}
${base('output')}
fn lseBits(m: f32, l: f32) -> u32 {
  if (l == 0.0) { return 0xff800000u; }
  return bitcast<u32>(fma(m, ln2, log(l)));
}`
}

/**
 * What is left to do once a row of `own.head` has seen all of its keys, with maximum m and sum l. A sink is a key without a value.
 * `factor` makes the row's output of its weighted sum of values; its lse is `lseBits(reference, total)`.
 */
export function endRow({ sinks }: ProblemSpec, m: string, l: string): string {
  const addSink = `let sink = sinkOf(own.head);
    reference = max(reference, sink);
    factor = exp2(${m} - reference);
    total = total * factor + select(0.0, exp2(sink - reference), sink > lowest);`
  return `var reference = ${m};
    var total = ${l};
    var factor = 1.0;
    ${sinks ? addSink : ''}
    factor /= select(total, 1.0, total == 0.0);`
}
