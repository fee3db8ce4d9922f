import { permute, slice, type Backend, type OwnedTensor, type Tensor } from '@qkv/core'
import { attention, type AttentionOptions } from '../attention.ts'
import { checkBackend, checkShape, invalid } from '../refuse.ts'

export interface PackedAttentionOptions extends Omit<AttentionOptions, 'lengths' | 'positions' | 'mask' | 'bias'> {
  /** Where each sequence's queries start, and the end: [0, 5, 12] are sequences of 5 and 7 tokens. Empty ones are fine. */
  readonly queryOffsets: ArrayLike<number>
  /** Of keys and values, where they differ, as in cross-attention; as many as `queryOffsets`. */
  readonly keyOffsets?: ArrayLike<number> | undefined
}

/** Outputs of sequences one after another, as their queries came. */
export interface PackedAttentionResult {
  /** [queries, queryHeads, valueDim] */
  readonly output: OwnedTensor
  /** Float32 [queries, queryHeads]; present when it was asked for. */
  readonly lse: OwnedTensor | undefined
}

/**
 * Attention within each of several sequences of any lengths that lie one after another: no padding is stored and none
 * computed. Each sequence comes out, to the bit, as it would alone, for each is a call of its own: tiles begin where it begins,
 * whatever it is packed with. `causal` aligns each sequence's last query with its last key. With `dropout` each drops weights of its
 * own: those that it would drop alone with a seed that is higher by how many sequences come before it.
 *
 * @param query [queries, queryHeads, headDim]
 * @param key [keys, keyHeads, headDim]
 * @param value [keys, keyHeads, valueDim]
 * @throws QkvError as {@link attention} does; `OPTION_INVALID` for offsets that fall or do not end at the end.
 */
export async function packedAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: PackedAttentionOptions,
): Promise<PackedAttentionResult> {
  const { backend, queryOffsets, keyOffsets = queryOffsets, onProgress, dropout, ...shared } = options
  checkBackend('packedAttention', backend)
  checkShape('packedAttention', 'query', query.shape, [-1, -1, -1])
  checkShape('packedAttention', 'key', key.shape, [-1, -1, query.shape[2] ?? 0])
  checkShape('packedAttention', 'value', value.shape, [key.shape[0] ?? 0, key.shape[1] ?? 0, -1])
  checkOffsets('queryOffsets', queryOffsets, query)
  checkOffsets('keyOffsets', keyOffsets, key)
  if (keyOffsets.length !== queryOffsets.length) {
    throw invalid('packedAttention', 'keyOffsets', `${queryOffsets.length} numbers, as queryOffsets has`, String(keyOffsets.length))
  }
  const [queries = 0, heads = 0] = query.shape
  const output = backend.empty([queries, heads, value.shape[2] ?? 0], query.dtype)
  const lse = shared.lse ? backend.empty([queries, heads]) : undefined
  try {
    for (let sequence = 0; sequence + 1 < queryOffsets.length; sequence++) {
      const rows = [queryOffsets[sequence]!, queryOffsets[sequence + 1]!] as const
      const keys = [keyOffsets[sequence]!, keyOffsets[sequence + 1]!] as const
      const report = onProgress && ((done: number): void => onProgress((rows[0] + done * (rows[1] - rows[0])) / queries))
      if (rows[1] === rows[0]) continue
      const own = {
        ...shared,
        backend,
        onProgress: report,
        dropout: dropout && { ...dropout, seed: (dropout.seed + sequence) % 2 ** 32 },
      }
      const result = await attention(one(query, rows), one(key, keys), one(value, keys), own)
      place(backend, result.output, one(output, rows))
      if (lse && result.lse) place(backend, result.lse, one(lse, rows))
    }
    return { output, lse }
  } catch (error) {
    output.dispose()
    lse?.dispose()
    throw error
  }
}

/** Tokens `start ≤ token < end` of [tokens, heads, …] as a batch of one, [1, heads, length, …]. */
function one(packed: Tensor, [start, end]: readonly [number, number]): Tensor {
  const axes = packed.shape.map((_, axis) => (axis < 2 ? 1 - axis : axis))
  const { shape, strides, ...rest } = permute(slice(packed, 0, start, end), axes)
  return { ...rest, shape: [1, ...shape], strides: [0, ...strides] }
}

function place(backend: Backend, source: OwnedTensor, target: Tensor): void {
  backend.copy(source, target)
  source.dispose()
}

function checkOffsets(argument: string, offsets: ArrayLike<number>, { shape: [tokens = 0] }: Tensor): void {
  const numbers = Array.from(offsets ?? [])
  const rises = numbers.every((offset, index) => Number.isSafeInteger(offset) && offset >= (numbers[index - 1] ?? 0))
  if (rises && numbers.length > 0 && numbers[0] === 0 && numbers.at(-1) === tokens) return
  throw invalid(
    'packedAttention',
    argument,
    `whole numbers that rise from 0 to ${tokens}`,
    `[${numbers.slice(0, 8).join(',')}${numbers.length > 8 ? ',…' : ''}]`,
  )
}
