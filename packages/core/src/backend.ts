import type { Dtype, TypedArray } from './dtype.ts'
import type { AttentionProblem } from './problem.ts'
import type { HostTensor, OwnedTensor, Tensor } from './tensor.ts'

/** Attention over some keys: enough, with `merge`, to continue as if all keys had been there. */
export interface Partial {
  /** [batch, queryHeads, queryLength, valueDim], normalised over these keys. */
  readonly output: Tensor
  /** Float32 [batch, queryHeads, queryLength]: natural log of the sum of exponentials of the final scores. */
  readonly lse: Tensor
}

/** A {@link Partial} in host memory. */
export interface HostPartial extends Partial {
  readonly output: HostTensor
  readonly lse: HostTensor
}

/** The output has the query's dtype and its order of axes in memory (a view made by `splitHeads` gives the same back). */
export interface AttentionResult {
  readonly output: OwnedTensor
  /** Always float32; present when it was asked for. */
  readonly lse: OwnedTensor | undefined
}

export interface AttentionRequest {
  /** Also return the log-sum-exp of each row. */
  readonly lse?: boolean | undefined
}

/** What long work reports and obeys between tiles. */
export interface Watch {
  readonly signal?: AbortSignal | undefined
  /** Called with the fraction done, 0…1. */
  readonly onProgress?: ((fraction: number) => void) | undefined
}

/** Gradients have the shapes of the problem's tensors, in float32 and contiguous. */
export interface AttentionGradient {
  readonly dQuery: OwnedTensor
  readonly dKey: OwnedTensor
  readonly dValue: OwnedTensor
  /** In the bias's own, unbroadcast axes kept at size 1: [1 or batch, 1 or queryHeads, …]. */
  readonly dBias: OwnedTensor | undefined
  /** [queryHeads] */
  readonly dSinks: OwnedTensor | undefined
  /** For each captured float tensor of the score expression, in its shape. */
  readonly captured: ReadonlyMap<HostTensor, OwnedTensor>
}

/** Cosines and sines to rotate pairs of elements by. Made by an encoding in float64; a backend knows no positions. */
export interface RotaryTable {
  /** Float32, broadcasts to [batch, heads, length, dim / 2]. */
  readonly cos: Tensor
  readonly sin: Tensor
  /** `half` pairs x[i] with x[i + dim/2]; `interleaved` pairs x[2i] with x[2i + 1]. */
  readonly layout: 'half' | 'interleaved'
  /** How many leading elements of each vector rotate; the rest pass through. */
  readonly dim: number
}

export type Activation = 'silu' | 'gelu' | 'gelu-tanh' | 'relu'

/** The few operations around attention that let a whole model run without leaving the backend. */
export interface LayerOperations {
  /** `input` [..., inputs] times the transpose of `weight` [outputs, inputs], plus `bias` [outputs]: [..., outputs]. */
  linear(input: Tensor, weight: Tensor, bias?: Tensor): OwnedTensor
  /** Over the last axis: x / √(mean(x²) + epsilon) · weight. */
  rmsNorm(input: Tensor, weight: Tensor, epsilon: number): OwnedTensor
  /** Over the last axis: (x − mean) / √(variance + epsilon) · weight + bias. */
  layerNorm(input: Tensor, weight: Tensor, bias: Tensor | undefined, epsilon: number): OwnedTensor
  activate(input: Tensor, activation: Activation): OwnedTensor
  /** Elementwise; `right` broadcasts to `left`. */
  add(left: Tensor, right: Tensor): OwnedTensor
  multiply(left: Tensor, right: Tensor): OwnedTensor
  /** Rows of `table` [rows, dim] by int32 `indices` of any shape: [...indices, dim]. */
  gather(table: Tensor, indices: Tensor): OwnedTensor
  /** Writes `source` over the elements that `target` views, converting dtypes: how caches append. */
  copy(source: Tensor, target: Tensor): void
  /**
   * Writes `source` [..., dim] as whole multiples of a scale for each group of its elements: over what `target` views, int8
   * [..., dim], or uint8 [..., dim/2] with two 4-bit elements a byte (the even one in the low bits, both offset by 8); and
   * over `scales`, float32 [..., groups], one for each dim/groups elements. A scale is the largest magnitude of its group
   * over 127, or 7, and elements go to the nearest multiple: off by half a scale at most. A group of zeros has a scale of 0;
   * elements must be finite. As quantised caches append.
   */
  quantize(source: Tensor, target: Tensor, scales: Tensor): void
  /** `input` [batch, heads, length, headDim] with its leading `table.dim` elements rotated. */
  rotate(input: Tensor, table: RotaryTable): OwnedTensor
}

/**
 * What computes. A backend owns memory and runs schedules; it is made by its own package and handed to whoever computes
 * with it. It accepts host tensors everywhere, copying them in, and what it returns lives with it.
 *
 * Issuing work is synchronous (a device may still be busy when a call returns); reading back is not. Results are
 * float32-accumulated whatever the dtype. Scalars and captured tensors count as they are at a call, so every way to attend
 * begins with `checkCaptures` of `@qkv/core/expression`, which kernels rely on.
 */
export interface Backend extends LayerOperations, Disposable {
  /** `'cpu'`, `'webgpu'`, … */
  readonly name: string
  /** One line for people: what it runs on and how. */
  readonly description: string

  attention(problem: AttentionProblem, request?: AttentionRequest): AttentionResult
  /** The same result, computed in slices that report progress and can be aborted (`ABORTED`). */
  attentionInSteps(problem: AttentionProblem, request: AttentionRequest & Watch): Promise<AttentionResult>
  /** From the forward's output and lse, and the gradient of the output. Float32 accumulation, deterministic. */
  attentionGradient(problem: AttentionProblem, forward: Partial, dOutput: Tensor): AttentionGradient
  /** The whole from its parts, in any order; parts without visible keys (lse −∞) are the identity. */
  merge(partials: readonly Partial[]): AttentionResult

  /** A zeroed tensor in the backend's memory. */
  empty(shape: readonly number[], dtype?: Dtype): OwnedTensor
  /** A copy of a host tensor in the backend's memory. */
  upload(tensor: HostTensor): OwnedTensor
  /** The elements in row-major order; halves as their bits. The only wait for a device. */
  read(tensor: Tensor): Promise<TypedArray>

  /** Gives back all memory; every later call throws `DISPOSED`. */
  dispose(): void
}
