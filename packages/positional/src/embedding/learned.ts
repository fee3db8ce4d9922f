import { slice, toFloat32, type HostTensor } from '@qkv/core'
import type { EmbeddingEncoding } from '../encoding.ts'
import { checkCount, checkTable, refused } from '../refuse.ts'
import { embeddingEncoding } from './embedding.ts'

export interface LearnedOptions {
  /** [positions, dim], a float dtype; read at each call, so it may be trained. */
  readonly table: HostTensor
  /** Added to each position, as OPT and BART add 2. Default 0. */
  readonly offset?: number | undefined
}

/**
 * A trained vector for each position, added to the inputs. Gehring et al. 2017, arXiv:1705.03122; BERT, GPT-2, ViT.
 * Positions outside the table are refused: `resizeTable` makes a table for other lengths.
 */
export function learned({ table, offset = 0 }: LearnedOptions): EmbeddingEncoding {
  const [count = 0, dim = 0] = checkTable('learned', 'table', table, ['positions', 'dim'])
  checkCount('learned', 'offset', offset, 0)
  const rowOf = (position: number): number => {
    const row = position + offset
    if (Number.isInteger(row) && row >= 0 && row < count) return row
    throw refused('learned', 'positions', `whole numbers from ${-offset} to ${count - offset - 1}, within the table`, position)
  }
  return embeddingEncoding({
    operation: 'learned',
    dim,
    axes: 1,
    write: ([position = NaN], vector) => {
      const row = rowOf(position)
      vector.set(toFloat32(slice(table, 0, row, row + 1)))
    },
    trained: { table, rowOf },
  })
}
