import { tensor, toFloat64, type HostTensor } from '@qkv/core'
import type { EmbeddingEncoding, Positions } from '../encoding.ts'
import { tokenPositions } from '../positions.ts'

/** What tells one embedding from another. */
export interface Embedding {
  readonly operation: string
  readonly dim: number
  readonly axes: number
  /** Writes the vector of a token, whose position has one number per axis, into `vector`. */
  write(position: readonly number[], vector: Float32Array): void
  /** Where vectors are rows of a table: it, and the row for a position. */
  readonly trained?: { readonly table: HostTensor; rowOf(position: number): number }
}

export function embeddingEncoding({ operation, dim, axes, write, trained }: Embedding): EmbeddingEncoding {
  const embed = (positions: Positions): HostTensor => {
    const tokens = tokenPositions(operation, positions, axes)
    const count = tokens.axes[0]?.length ?? 0
    const vectors = new Float32Array(count * dim)
    for (let token = 0; token < count; token++) {
      write(
        tokens.axes.map((row) => row[token]!),
        vectors.subarray(token * dim, (token + 1) * dim),
      )
    }
    return tensor(vectors, [...tokens.shape, dim])
  }
  const gradient = (positions: Positions, dInput: HostTensor): HostTensor[] => {
    if (trained === undefined) return []
    const rows = Array.from(tokenPositions(operation, positions, axes).axes[0]!, trained.rowOf)
    return [summedByRow(toFloat64(dInput), rows, trained.table.shape)]
  }
  const parameters = trained ? [trained.table] : []
  return Object.freeze<EmbeddingEncoding>({ kind: 'embedding', dim, parameters, embed, gradient })
}

/** Vectors of `dim` elements, each added to its row of a table [count, dim]; `rows` begin anew where they end. */
function summedByRow(vectors: Float64Array, rows: readonly number[], shape: readonly number[]): HostTensor {
  const [count = 0, dim = 0] = shape
  const sums = new Float64Array(count * dim)
  vectors.forEach((element, at) => (sums[rows[Math.floor(at / dim) % rows.length]! * dim + (at % dim)]! += element))
  return tensor(Float32Array.from(sums), shape)
}
