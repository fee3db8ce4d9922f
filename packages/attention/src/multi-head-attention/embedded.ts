import type { Backend, Tensor } from '@qkv/core'
import type { EmbeddingEncoding, Positions } from '@qkv/positional'
import type { Temporaries } from '../temporaries.ts'

/** A layer's input [batch, length, modelDim], with the vectors of its tokens' places added. */
export function embedded(
  backend: Backend,
  input: Tensor,
  embeddings: readonly EmbeddingEncoding[],
  places: () => Positions,
  scope: Temporaries,
): Tensor {
  return embeddings.reduce((sum, embedding) => scope.keep(backend.add(sum, embedding.embed(places()))), input)
}
