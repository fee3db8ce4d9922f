import type { HostTensor, RotaryTable, ScoreMod } from '@qkv/core'

/**
 * What tells attention the order of tokens. Each kind acts in one place and they stack:
 * `rotary` turns queries and keys, `score` changes scores inside the kernel, `embedding` is added to the inputs.
 */
export type PositionEncoding = RotaryEncoding | ScoreEncoding | EmbeddingEncoding

/**
 * Where tokens stand: a range, one number per token, or a tensor [length] or [batch, length] of any dtype. Encodings
 * over several axes (multimodal, axial) also take [axes, batch, length]; plain positions count on every axis.
 * Fractions and negative numbers are positions too; beyond ±2²⁴ they are refused.
 */
export type Positions = PositionRange | readonly number[] | HostTensor

export interface PositionRange {
  readonly start: number
  readonly length: number
}

/** Pairs of elements of each query and key turn by angles that grow with position: q·k sees differences alone. */
export interface RotaryEncoding {
  readonly kind: 'rotary'
  /** `half` pairs x[i] with x[i + dim/2]; `interleaved` pairs x[2i] with x[2i + 1]. */
  readonly layout: 'half' | 'interleaved'
  /** How many leading elements of each vector rotate. */
  readonly dim: number
  /** How many numbers make a position: 1 for text, more for images and video. */
  readonly axes: number
  /** Whether frequencies follow the sequence's length (dynamic, longrope), so that all keys turn anew as it grows. */
  readonly followsLength: boolean
  /** Trained frequencies; empty where nothing is learned. */
  readonly parameters: readonly HostTensor[]
  /**
   * Cosines and sines for tokens at `positions`: [length, dim/2], or [batch, 1, length, dim/2] for batched positions.
   * Queries and keys share a table but where the encoding scales them apart (xPos).
   *
   * @param contextLength how many tokens the sequence has, for encodings whose frequencies follow it (dynamic, longrope);
   * by default one more than the largest position.
   * @throws QkvError `OPTION_INVALID` or `SHAPE_MISMATCH`, naming the positions at fault.
   */
  table(positions: Positions, role?: 'query' | 'key', contextLength?: number): RotaryTable
  /**
   * Turns keys that are already rotated on by an offset (negative: back), as when a cache drops tokens before them.
   * Exact in the group of rotations: R(a)·R(b) = R(a + b). Offsets are positions; a single number serves all tokens.
   *
   * @param contextLength what the keys' own table was made with, where frequencies follow it
   */
  shift(offset: number | Positions, contextLength?: number): RotaryTable
  /** The gradients of the `parameters`, in their order and shapes, from those of the vectors that this encoding turned. */
  gradient(turned: readonly TurnedVectors[]): readonly HostTensor[]
}

/** Queries or keys that a rotary encoding turned. */
export interface TurnedVectors {
  readonly positions: Positions
  /** As they came out, [batch, heads, length, headDim]. */
  readonly vectors: HostTensor
  /** In their shape. */
  readonly gradient: HostTensor
}

/** Something added to the scores before the softmax. */
export type ScoreEncoding = PositionScore | ContentScore

/** A score change that follows from positions alone. */
export interface PositionScore {
  readonly kind: 'score'
  readonly follows: 'positions'
  /** For `ProblemOptions.score`; several compose with `composeScores`. */
  readonly scoreMod: ScoreMod
  /** Trainable tables, each with its gradient in `AttentionGradient.captured`; empty where nothing is learned. */
  readonly parameters: readonly HostTensor[]
}

/** A score change that also follows from queries and keys, so it is made anew for each call. */
export interface ContentScore {
  readonly kind: 'score'
  readonly follows: 'content'
  readonly parameters: readonly HostTensor[]
  /** What to attend with instead, `scale` being the problem's own. */
  terms(inputs: ContentInputs): ContentTerms
}

export interface ContentInputs {
  /** [batch, queryHeads, queryLength, headDim] */
  readonly query: HostTensor
  /** [batch, keyHeads, keyLength, headDim] */
  readonly key: HostTensor
  /** What multiplies q·k. */
  readonly scale: number
  /** Where the first query of each batch entry stands among the keys. Default keyLength − queryLength: at their end. */
  readonly starts?: readonly number[] | undefined
}

export interface ContentTerms {
  /** Its head dim may have grown, and the key's with it; the scale stays that of the inputs. */
  readonly query: HostTensor
  readonly key: HostTensor
  readonly scoreMod: ScoreMod | undefined
  /** What the score expression captured that was made for this call; its gradients are `backward`'s. */
  readonly captured: readonly HostTensor[]
  /** Carries the gradient of attention over these terms on to what they were made of. */
  backward(gradient: TermsGradient): ContentGradient
}

export interface TermsGradient {
  /** In the shapes of the terms' query and key. */
  readonly dQuery: HostTensor
  readonly dKey: HostTensor
  /** Of each of the terms' `captured`, as in `AttentionGradient.captured`. */
  readonly captured: ReadonlyMap<HostTensor, HostTensor>
}

export interface ContentGradient {
  /** In the shapes of the inputs. */
  readonly dQuery: HostTensor
  readonly dKey: HostTensor
  /** One for each of the encoding's `parameters`, in their order and shapes. */
  readonly parameters: readonly HostTensor[]
}

/** Vectors added to inputs: most often to those of the first layer. */
export interface EmbeddingEncoding {
  readonly kind: 'embedding'
  /** Elements of each vector. */
  readonly dim: number
  /** Trainable tables; empty where nothing is learned. */
  readonly parameters: readonly HostTensor[]
  /** [length, dim], or [batch, length, dim] for batched positions. Float32. */
  embed(positions: Positions): HostTensor
  /**
   * The gradients of the `parameters`, in their order and shapes, from that of the sum of inputs and vectors.
   *
   * @param dInput [batch, length, dim]; where positions are not batched, all entries share their vectors
   */
  gradient(positions: Positions, dInput: HostTensor): readonly HostTensor[]
}
