import { KeyValueCache } from '@qkv/attention'
import type { Backend } from '@qkv/core'
import type { DecoderSizes } from './weights.ts'

/** Keys and values of every layer for the tokens so far. Dispose it when the text is done. */
export class DecoderCache implements Disposable {
  readonly layers: readonly KeyValueCache[]

  constructor(backend: Backend, layers: number, { kvHeads, headDim }: DecoderSizes, capacity: number) {
    this.layers = Array.from({ length: layers }, () => new KeyValueCache({ backend, heads: kvHeads, headDim, capacity }))
  }

  /** How many tokens it holds. */
  get length(): number {
    return this.layers[0]?.length ?? 0
  }

  /** Forgets the tokens from `length` on, in every layer. */
  truncate(length: number): void {
    for (const layer of this.layers) if (layer.length > length) layer.truncate(length)
  }

  dispose(): void {
    for (const layer of this.layers) layer.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
