import type { Backend, HostTensor, Tensor } from '@qkv/core'
import { bringHome } from '../positions.ts'
import { checkBackend } from '../refuse.ts'
import { eachWeightRow, optionsAtHome, type WeightOptions, type WeightRow, type WeightSizes } from './weight-rows.ts'

/** Where the tensors live. With it the answer is a promise. */
export interface OnBackend {
  readonly backend: Backend
}

/**
 * Something seen in the attention weights of chosen rows and heads of one batch entry, with any of attention's options.
 * It is computed on the host in float64, a row at a time: memory is that of queries, keys and the answer, whatever the
 * number of pairs. Tensors in host memory are answered at once; what lives on a backend is read home first.
 *
 * @throws QkvError as `attention` does; `OPTION_INVALID` for rows and heads that there are not.
 */
export interface Inspection<T> {
  /**
   * @param query [batch, queryHeads, queryLength, headDim]
   * @param key [batch, keyHeads, keyLength, headDim]
   */
  (query: HostTensor, key: HostTensor, options?: WeightOptions): T
  (query: Tensor, key: Tensor, options: WeightOptions & OnBackend): Promise<T>
}

/** Goes through the chosen rows, each head's one after another; see `eachWeightRow`. */
export type Walk = (visit: (row: WeightRow) => void) => WeightSizes

/** An {@link Inspection} from a function that sums up a walk over rows of weights. */
export function inspection<T>(operation: string, sumUp: (walk: Walk) => T): Inspection<T> {
  const walkOver = (query: Tensor, key: Tensor, options: WeightOptions): T =>
    sumUp((visit) => eachWeightRow(operation, query, key, options, visit))

  async function fromBackend(query: Tensor, key: Tensor, options: WeightOptions & OnBackend): Promise<T> {
    const { backend } = options
    checkBackend(operation, backend)
    return walkOver(await bringHome(backend, query), await bringHome(backend, key), await optionsAtHome(backend, options))
  }

  function inspect(query: HostTensor, key: HostTensor, options?: WeightOptions): T
  function inspect(query: Tensor, key: Tensor, options: WeightOptions & OnBackend): Promise<T>
  function inspect(query: Tensor, key: Tensor, options: WeightOptions | (WeightOptions & OnBackend) = {}): T | Promise<T> {
    return 'backend' in options ? fromBackend(query, key, options) : walkOver(query, key, options)
  }
  return inspect
}
