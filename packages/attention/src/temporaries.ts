/** What one computation makes on its way, given back together at its end. */
export interface Temporaries {
  /** The thing itself, to be disposed with the others. */
  keep<T extends { dispose(): void }>(made: T): T
  dispose(): void
}

export function temporaries(): Temporaries {
  const kept: { dispose(): void }[] = []
  return {
    keep(made) {
      kept.push(made)
      return made
    },
    dispose: () => kept.splice(0).forEach((made) => made.dispose()),
  }
}

/** Runs a computation, and gives back what it made on its way. */
export async function withTemporaries<T>(work: (scope: Temporaries) => Promise<T>): Promise<T> {
  const scope = temporaries()
  try {
    return await work(scope)
  } finally {
    scope.dispose()
  }
}
