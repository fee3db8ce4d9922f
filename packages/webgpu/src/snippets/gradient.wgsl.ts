import type { FloatDtype } from '@qkv/core'
import type { KernelInterface } from '../kernel.ts'
import { declareElements, declareStrides, readVector, type Access } from './elements.wgsl.ts'
import { pairGradient } from './pair-gradient.wgsl.ts'
import { base, problemFunctions, problemInterface, type ProblemSpec } from './problem.wgsl.ts'

export interface GradientSpec {
  readonly problem: ProblemSpec
  readonly dOutput: Access<FloatDtype>
  /** WGSL of `scoreSlope(at, score)`; absent where there is no score expression. */
  readonly slopeCode: string | undefined
}

/** What every gradient kernel reads; with one output of its own it needs the eight buffers that every device has. */
export function gradientInterface({ problem, dOutput }: GradientSpec, blockMap = false): KernelInterface {
  const { parameters, buffers } = problemInterface(problem, blockMap)
  return {
    parameters: {
      ...parameters,
      ...declareStrides('dOutput'),
    },
    buffers: {
      ...buffers,
      dOutput: declareElements(dOutput),
      rowStatistics: { type: 'array<vec2f>', access: 'read' },
    },
  }
}

export function gradientFunctions({ problem, dOutput, slopeCode }: GradientSpec): string {
  return `${problemFunctions(problem)}
${readVector('dOutput', dOutput, problem.valueDim)}
${base('dOutput')}
${pairGradient(problem, slopeCode)}`
}
