/** What a case asks for, as plain data that travels to another process and into a report. */
export interface AttentionCase {
  readonly kind: 'attention'
  /** Unique and readable, e.g. `prefill/llama-3-8b/1024`. What `--filter` matches. */
  readonly id: string
  /** Why this shape: the model that has it. */
  readonly source: string
  readonly batch: number
  readonly queryHeads: number
  readonly keyHeads: number
  readonly queryLength: number
  readonly keyLength: number
  readonly headDim: number
  readonly valueDim: number
  readonly causal: boolean
  /** Keys to the left of each query's own; undefined = all. */
  readonly windowLeft?: number | undefined
  readonly softcap?: number | undefined
  readonly sinks?: boolean | undefined
  /** Lengths of documents that attend only within themselves. */
  readonly documents?: readonly number[] | undefined
  /** ALiBi slopes on the scores. */
  readonly alibi?: boolean | undefined
  /** Queries and keys turn by their positions first, as part of the case: rotary, half layout, base 10,000. */
  readonly rotary?: boolean | undefined
  /** A float32 bias on every score, [1, queryHeads, queryLength, keyLength], as T5 has. */
  readonly bias?: boolean | undefined
  /** T5's bias of each head and bucket of distances, between 32 buckets of both directions. */
  readonly t5?: boolean | undefined
  /** How keys and values are stored; queries are float32. */
  readonly keyDtype: 'float32' | 'float16' | 'int8' | 'int4'
  /** Which of QKV's caches holds keys and values: one that drops what no window reaches, or one in pages of 64 tokens. */
  readonly cache?: 'sliding' | 'paged' | undefined
  /** The gradient of query, key and value, given the output's, in place of the output: by itself, or with the forward pass before it. */
  readonly gradient?: 'alone' | 'with forward' | undefined
  readonly sweep?: Sweep | undefined
}

/** `input` [rows, inputs] times the transpose of `weight` [outputs, inputs]. */
export interface LinearCase {
  readonly kind: 'linear'
  readonly id: string
  readonly source: string
  readonly rows: number
  readonly inputs: number
  readonly outputs: number
  readonly sweep?: undefined
}

/**
 * A layer that reads a sequence so that each output knows all inputs before it: causal self-attention with its projections, or
 * an LSTM of the same width. The contestant picks its layer and says which; each is held to its own formulas.
 */
export interface SequenceCase {
  readonly kind: 'sequence'
  readonly id: string
  readonly source: string
  readonly length: number
  readonly width: number
  /** Of the attention. */
  readonly heads: number
  readonly sweep?: Sweep | undefined
}

/** A whole decoder writes on from a prompt, taking the likeliest token each time. */
export interface WritingCase {
  readonly kind: 'writing'
  readonly id: string
  readonly source: string
  readonly prompt: string
  readonly tokens: number
  /** Numbers in the model. */
  readonly parameters: number
  readonly sweep?: undefined
}

export type BenchCase = AttentionCase | LinearCase | SequenceCase | WritingCase

/** A case that is one step of a row of growing ones. */
export interface Sweep {
  /** Unique, e.g. `growth/causal-64x1`. */
  readonly name: string
  /** What grows, for people. */
  readonly title: string
  /** Tokens at this step. */
  readonly length: number
}

/** Pairs of a query and a key that it sees, over all heads and batch entries. */
export function visiblePairs(bench: AttentionCase): number {
  let pairs = 0
  for (let row = 0; row < bench.queryLength; row++) {
    const { first, end } = keysOfRow(bench, row)
    pairs += Math.max(0, end - first)
  }
  return pairs * bench.batch * bench.queryHeads
}

/** The keys that row `row` sees, `first ≤ key < end`: every case's mask leaves one run of keys. */
export function keysOfRow(bench: AttentionCase, row: number): { first: number; end: number } {
  const position = bench.keyLength - bench.queryLength + row
  const window = bench.windowLeft === undefined ? 0 : Math.max(0, position - bench.windowLeft)
  const end = bench.causal ? position + 1 : bench.keyLength
  const document = bench.documents === undefined ? { first: 0, end } : documentAt(bench.documents, position)
  return { first: Math.max(window, document.first), end: Math.min(end, document.end) }
}

/** Whether the case's window hides any key that its other masks leave. */
export function hasWindow({ windowLeft, keyLength }: AttentionCase): boolean {
  return windowLeft !== undefined && windowLeft < keyLength - 1
}

/** Multiplications and additions of the case's products; what is masked does not count. */
export function flopsOf(bench: BenchCase): number {
  switch (bench.kind) {
    case 'linear':
      return 2 * bench.rows * bench.inputs * bench.outputs
    case 'writing':
      return 2 * bench.tokens * bench.parameters
    case 'sequence':
      // Four projections, and half of the pairs.
      return 8 * bench.length * bench.width ** 2 + 2 * bench.length * (bench.length + 1) * bench.width
    case 'attention': {
      const forward = 2 * visiblePairs(bench) * (bench.headDim + bench.valueDim)
      // The gradient recomputes the scores and needs four more products of their size.
      return forward * { forward: 1, alone: 2.5, 'with forward': 3.5 }[bench.gradient ?? 'forward']
    }
  }
}

/** The least that has to be read and written; keys that no row sees are not. */
export function bytesOf(bench: BenchCase): number {
  switch (bench.kind) {
    case 'linear':
      return 4 * (bench.rows * (bench.inputs + bench.outputs) + bench.inputs * bench.outputs)
    case 'writing':
      return 4 * bench.tokens * bench.parameters
    case 'sequence':
      return 4 * (2 * bench.length * bench.width + 4 * bench.width ** 2)
    case 'attention': {
      const { queryHeads, queryLength, keyLength, bias } = bench
      const forward = operandBytes(bench) + (bias ? 4 * queryHeads * queryLength * keyLength : 0)
      // The gradient reads the output and its gradient besides, and writes three tensors like its operands.
      return forward * { forward: 1, alone: 2, 'with forward': 3 }[bench.gradient ?? 'forward']
    }
  }
}

/** Query, the keys and values that are seen, and output. */
export function operandBytes(bench: AttentionCase): number {
  const { batch, queryHeads, keyHeads, queryLength, headDim, valueDim, keyDtype } = bench
  const keysSeen = keysOfRow(bench, queryLength - 1).end - keysOfRow(bench, 0).first
  const keyBytes = { float32: 4, float16: 2, int8: 1, int4: 0.5 }[keyDtype]
  return batch * (headDim + valueDim) * (4 * queryHeads * queryLength + keyBytes * keyHeads * keysSeen)
}

function documentAt(documents: readonly number[], position: number): { first: number; end: number } {
  let first = 0
  for (const length of documents) {
    if (position < first + length) return { first, end: first + length }
    first += length
  }
  return { first, end: first }
}
