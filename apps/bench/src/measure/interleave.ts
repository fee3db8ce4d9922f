/** Something that can be timed: one sample is the mean over `repetitions` runs. */
export interface Timed {
  sample(repetitions: number): Promise<number>
}

export interface Plan {
  /** This many pairs, or fewer where they are slower than the budget allows. */
  readonly rounds: number
  /** A sample shorter than this is repeated: clocks and calls would drown it. */
  readonly sampleMilliseconds: number
  /** For all rounds of one contestant; the slowest get fewer, but three if the plan has as many. */
  readonly budgetMilliseconds: number
}

/** Times by contestant and round; a contestant that failed has the reason in its place. */
export type Samples<Key> = Map<Key, number[] | Error>

/**
 * Takes a sample of every contestant in each round, in turning order, so that drift and other programs' load fall on
 * all alike. Each is warmed first, and so known well enough to choose its repetitions. One that fails drops out.
 */
export async function interleave<Key>(contestants: ReadonlyMap<Key, Timed>, plan: Plan): Promise<Samples<Key>> {
  const samples: Samples<Key> = new Map()
  const running = new Map<Key, { timed: Timed; repetitions: number; rounds: number }>()
  for (const [key, timed] of contestants) {
    await attempt(samples, key, async () => {
      const first = await timed.sample(1)
      const warm = Math.min(first, await timed.sample(first > 1000 ? 1 : 2))
      const repetitions = Math.max(1, Math.ceil(plan.sampleMilliseconds / warm))
      const affordable = Math.floor(plan.budgetMilliseconds / (warm * repetitions))
      running.set(key, { timed, repetitions, rounds: Math.max(3, Math.min(plan.rounds, affordable)) })
      samples.set(key, [])
    })
  }
  const keys = [...running.keys()]
  for (let round = 0; round < plan.rounds; round++) {
    for (let turn = 0; turn < keys.length; turn++) {
      const key = keys[(turn + round) % keys.length]!
      const entry = running.get(key)
      const taken = samples.get(key)
      if (entry === undefined || !Array.isArray(taken) || round >= entry.rounds) continue
      await attempt(samples, key, async () => void taken.push(await entry.timed.sample(entry.repetitions)))
    }
  }
  return samples
}

async function attempt<Key>(samples: Samples<Key>, key: Key, action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (error) {
    samples.set(key, error instanceof Error ? error : new Error(String(error)))
  }
}
