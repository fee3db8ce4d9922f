import type { Activation, AttentionGradient, AttentionProblem, Partial, RotaryTable, Tensor } from '@qkv/core'
import type { LinearMemory } from './memory/linear-memory.ts'
import type { Workspace } from './memory/workspace.ts'

/** Work cut into units, to be run in order in any number of calls; so long calls can pause between them. */
export interface Run {
  readonly units: number
  /** How many units keep every thread busy; default 1. Fewer at a time waste threads. */
  readonly grain?: number
  /** Units `first ≤ unit < end`. Memory may have grown since the last call. */
  run(first: number, end: number): void
}

/** Where attention puts its results: tensors of the arena. */
export interface AttentionTarget {
  readonly output: Tensor
  /** Contiguous; absent when nobody asked. */
  readonly lse: Tensor | undefined
}

/**
 * Kernels that take work over from the portable ones. Everything has been validated, every tensor is this backend's own
 * or over a typed array, and every result is allocated; `workspace.place` gives pointers. An operation may decline what
 * it has no kernel for, before it has written anything: it returns `undefined` or `false`, and the portable kernel runs.
 */
export interface Engine {
  /** For people: `WebAssembly, relaxed SIMD, 4 threads`. */
  readonly description: string
  /** @param mostWork multiplications and additions that a unit should not exceed where others wait for it to end */
  attention?(workspace: Workspace, problem: AttentionProblem, target: AttentionTarget, mostWork: number): Run | undefined
  attentionGradient?(
    workspace: Workspace,
    problem: AttentionProblem,
    forward: Partial,
    dOutput: Tensor,
    target: AttentionGradient,
  ): boolean
  merge?(workspace: Workspace, partials: readonly Partial[], target: AttentionTarget): boolean
  linear?(workspace: Workspace, input: Tensor, weight: Tensor, bias: Tensor | undefined, output: Tensor): boolean
  rmsNorm?(workspace: Workspace, input: Tensor, weight: Tensor, epsilon: number, output: Tensor): boolean
  layerNorm?(
    workspace: Workspace,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | undefined,
    epsilon: number,
    output: Tensor,
  ): boolean
  activate?(workspace: Workspace, input: Tensor, activation: Activation, output: Tensor): boolean
  add?(workspace: Workspace, left: Tensor, right: Tensor, output: Tensor): boolean
  multiply?(workspace: Workspace, left: Tensor, right: Tensor, output: Tensor): boolean
  gather?(workspace: Workspace, table: Tensor, indices: Tensor, output: Tensor): boolean
  copy?(workspace: Workspace, source: Tensor, target: Tensor): boolean
  quantize?(workspace: Workspace, source: Tensor, target: Tensor, scales: Tensor): boolean
  rotate?(workspace: Workspace, input: Tensor, table: RotaryTable, output: Tensor): boolean
  /** Ends its threads. */
  dispose(): void
}

/** An engine with the memory it works in, the part of it below `start` being the engine's own. */
export interface OpenedEngine {
  readonly engine: Engine
  readonly memory: LinearMemory
  readonly start: number
}
