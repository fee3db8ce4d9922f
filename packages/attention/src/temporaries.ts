import type { OwnedTensor } from '@qkv/core'

/** What one computation makes on its way, given back together at its end. */
export interface Temporaries {
  /** The tensor itself, to be disposed with the others. */
  keep(made: OwnedTensor): OwnedTensor
  dispose(): void
}

export function temporaries(): Temporaries {
  const made: OwnedTensor[] = []
  return {
    keep(tensor) {
      made.push(tensor)
      return tensor
    },
    dispose: () => made.splice(0).forEach((tensor) => tensor.dispose()),
  }
}
