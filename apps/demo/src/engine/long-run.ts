import { attention } from '@qkv/attention'
import { problem, reference, slice } from '@qkv/core'
import { createCpuBackend } from '@qkv/cpu'
import { drawn, shareOfBound, type Operands } from './check.ts'
import type { LongRun } from './engine.ts'

const headDim = 64
const rowsChecked = 5

/**
 * One causal head over so many tokens on a backend of its own, so that all its memory is this problem's. Some rows are computed again in
 * float64: all of them would take the square of the length.
 */
export async function longRun(tokens: number, tell: (done: number) => void): Promise<LongRun> {
  const operands = drawn([1, 1, tokens, headDim])
  using backend = await createCpuBackend()
  const start = performance.now()
  const { output } = await attention(...operands, { backend, causal: true, onProgress: tell })
  const milliseconds = performance.now() - start
  const computed = Float32Array.from(await backend.read(output))
  const bytes = 4 * Float32Array.BYTES_PER_ELEMENT * tokens * headDim
  return {
    milliseconds,
    bytesBeyond: backend.memory().reserved - bytes,
    rowsChecked,
    shareOfBound: largestShare(operands, computed),
  }
}

/** Rows from the first to the last, each a problem of one query over the keys that it sees. */
function largestShare([query, key, value]: Operands, computed: Float32Array): number {
  const tokens = query.shape[2] ?? 0
  const shares = Array.from({ length: rowsChecked }, (_, index) => {
    const row = Math.round((index * (tokens - 1)) / (rowsChecked - 1))
    const exact = reference(problem(slice(query, 2, row, row + 1), slice(key, 2, 0, row + 1), slice(value, 2, 0, row + 1), {}))
    return shareOfBound(exact, computed.subarray(row * headDim, (row + 1) * headDim))
  })
  return Math.max(...shares)
}
