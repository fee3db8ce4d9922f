import { maskMod, scoreMod } from '@qkv/core'
import { expect, test } from 'vitest'
import { attentionRows } from '../src/kernels/attention-rows.wgsl.ts'
import { countSplits } from '../src/kernels/count-splits.wgsl.ts'
import { decode } from '../src/kernels/decode.wgsl.ts'
import { gradientKeyValue } from '../src/kernels/gradient-key-value.wgsl.ts'
import { merge } from '../src/kernels/merge.wgsl.ts'
import { prefillMatrix } from '../src/kernels/prefill-matrix.wgsl.ts'
import { prefill } from '../src/kernels/prefill.wgsl.ts'
import { quantize } from '../src/kernels/quantize.wgsl.ts'
import { expressionFunction, noCaptures } from '../src/snippets/expression.wgsl.ts'
import { plainPrefill, plainProblem, tiles } from './support/specs.ts'

/** The WGSL of a few specs, kept so that every change of a kernel is read as what it is: a change of shaders. */
const output = { dtype: 'float32', vectors: true } as const
const shaders = {
  'prefill-64': prefill.code(plainPrefill(64, tiles[64])),
  'prefill-128-no-subgroups': prefill.code({ ...plainPrefill(128, tiles[128]), subgroups: false, blockMap: true }),
  'decode-128-float16': decode.code({
    problem: plainProblem(128, 'float16'),
    output,
    rows: 4,
    lanes: 8,
    subgroups: true,
    counted: false,
  }),
  'attention-rows-softcap-sinks': attentionRows.code({ problem: { ...plainProblem(64), softcap: true, sinks: true }, output }),
  'attention-rows-expressions': attentionRows.code({ problem: withExpressions(), output }),
  'gradient-key-value-64': gradientKeyValue.code({
    problem: plainProblem(64),
    dOutput: output,
    slopeCode: undefined,
    tile: tiles[64],
  }),
  'prefill-matrix-64-float16': prefillMatrix.code({
    problem: { ...plainProblem(64, 'float16'), sinks: true },
    output: { dtype: 'float16', vectors: true },
    unit: { m: 16, n: 16, k: 16, component: 'f16', smallestSubgroup: 32, largestSubgroup: 64 },
  }),
  'count-splits': countSplits.code({}),
  'quantize-uint8': quantize.code({ axes: 4, source: 'float16', target: 'uint8' }),
  'merge-64': merge.code({ valueDim: 64, output, counted: false }),
}

test.each(Object.entries(shaders))('%s is the shader that was reviewed', async (name, code) => {
  const tidy = code
    .replace(/[ \t]+$/gm, '')
    .replace(/\n{3,}/g, '\n\n')
    .trimStart()
  await expect(tidy).toMatchFileSnapshot(`golden/${name}.wgsl`)
})

function withExpressions() {
  const captures = noCaptures()
  const score = scoreMod((score, { query, key }) => score.sub(query.sub(key).abs().toFloat().mul(0.1)))
  const mask = maskMod(({ query, key }) => key.le(query).or(key.lt(4)))
  return {
    ...plainProblem(64),
    scoreCode: expressionFunction('changeScore', score.node, captures),
    maskCode: expressionFunction('mayAttend', mask.node, captures),
  }
}
