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

/** Makes what belongs together, now or by and by; should it fail on the way, what was made before is given back. */
export function allOrNone<T>(make: (made: Temporaries) => T): T {
  const made = temporaries()
  try {
    const result = make(made)
    if (result instanceof Promise) result.catch(made.dispose)
    return result
  } catch (error) {
    made.dispose()
    throw error
  }
}
