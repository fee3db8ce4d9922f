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
  /** How keys and values are stored; queries are float32. */
  readonly keyDtype: 'float32' | 'float16' | 'int8'
  /** The gradient of query, key and value, given the output's, in place of the output. */
  readonly gradient?: boolean | undefined
}

export interface LinearCase {
  readonly kind: 'linear'
  readonly id: string
  readonly source: string
  readonly rows: number
  readonly inputs: number
  readonly outputs: number
}

export type BenchCase = AttentionCase | LinearCase

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
  if (bench.kind === 'linear') return 2 * bench.rows * bench.inputs * bench.outputs
  const forward = 2 * visiblePairs(bench) * (bench.headDim + bench.valueDim)
  // The gradient recomputes the scores and needs four more products of their size.
  return bench.gradient ? 2.5 * forward : forward
}

/** The least that has to be read and written; keys that no row sees are not. */
export function bytesOf(bench: BenchCase): number {
  if (bench.kind === 'linear') return 4 * (bench.rows * (bench.inputs + bench.outputs) + bench.inputs * bench.outputs)
  const { batch, queryHeads, keyHeads, queryLength, headDim, valueDim, keyDtype } = bench
  const keysSeen = keysOfRow(bench, queryLength - 1).end - keysOfRow(bench, 0).first
  const keyBytes = { float32: 4, float16: 2, int8: 1 }[keyDtype]
  const forward = batch * (headDim + valueDim) * (4 * queryHeads * queryLength + keyBytes * keyHeads * keysSeen)
  // The gradient reads the output and its gradient besides, and writes three tensors like its operands.
  return bench.gradient ? 2 * forward : forward
}

function documentAt(documents: readonly number[], position: number): { first: number; end: number } {
  let first = 0
  for (const length of documents) {
    if (position < first + length) return { first, end: first + length }
    first += length
  }
  return { first, end: first }
}
