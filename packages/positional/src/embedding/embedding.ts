import { tensor, type HostTensor } from '@qkv/core'
import type { EmbeddingEncoding, Positions } from '../encoding.ts'
import { tokenPositions } from '../positions.ts'

/** What tells one embedding from another. */
export interface Embedding {
  readonly operation: string
  readonly dim: number
  readonly axes: number
  readonly parameters: readonly HostTensor[]
  /** Writes the vector of a token, whose position has one number per axis, into `vector`. */
  write(position: readonly number[], vector: Float32Array): void
}

export function embeddingEncoding({ operation, dim, axes, parameters, write }: Embedding): EmbeddingEncoding {
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
  return Object.freeze<EmbeddingEncoding>({ kind: 'embedding', dim, parameters, embed })
}
