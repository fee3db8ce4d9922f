import type { Backend, HostTensor, Tensor } from '@qkv/core'
import type { DecodingCache } from './cache/cache.ts'
import type { ModuleWeights } from './weights.ts'
import { checkShape, invalid } from './refuse.ts'

/** A layer of attention: what all of them do with their weights, and check of a call. */
export abstract class Layer implements Disposable {
  readonly backend: Backend
  protected readonly weights: ModuleWeights

  protected constructor(backend: Backend, weights: ModuleWeights) {
    this.backend = backend
    this.weights = weights
  }

  /** A weight where it lives, by its name; undefined where the options ask for none. */
  weight(name: string): Tensor | undefined {
    return this.weights.find(name)
  }

  /** All weights, read home. */
  state(): Promise<Record<string, HostTensor>> {
    return this.weights.read()
  }

  dispose(): void {
    this.weights.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** @param counts are for a cache that counts its batch entries apart */
  protected checkCall(operation: string, input: Tensor, modelDim: number, cache?: DecodingCache, counts?: readonly number[]): void {
    this.weights.check()
    checkShape(operation, 'input', input.shape, [-1, -1, modelDim])
    if (counts === undefined || cache?.lengths !== undefined) return
    throw invalid(operation, 'counts', 'absent without a BatchedCache or PagedBatch', 'counts')
  }
}
