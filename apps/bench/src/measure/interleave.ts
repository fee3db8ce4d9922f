/** Something that can be timed: one sample is the mean over `repetitions` runs. */
export interface Timed {
  /** How long its first run took, in milliseconds, cold as it was. */
  readonly firstRun: number
  sample(repetitions: number): Promise<number>
}

export interface Plan {
  /** Each runs this long before its first sample counts: JavaScript is compiled for good only after many calls. */
  readonly warmMilliseconds: number
  /** Before each sample all are at rest this long; see {@link restBeside}. */
  readonly restMilliseconds: number
  /** This many pairs, or fewer where they are slower than the budget allows. */
  readonly rounds: number
  /** A sample shorter than this is repeated: clocks and calls would drown it. */
  readonly sampleMilliseconds: number
  /** For all rounds of one contestant; the slowest get fewer, but three if the plan has as many. */
  readonly budgetMilliseconds: number
  /** One that would take longer than this with those three is left out, and its row says so. */
  readonly patienceMilliseconds: number
}

/** A contestant that is too slow for what the plan can wait. */
export class TooSlow extends Error {
  override readonly name = 'TooSlow'
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
      const { repetitions, rounds } = pace(await warm(timed, plan), plan)
      running.set(key, { timed, repetitions, rounds })
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
      await rest(plan)
      await attempt(samples, key, async () => void taken.push(await entry.timed.sample(entry.repetitions)))
    }
  }
  return samples
}

/**
 * How long contestants of so many threads rest before each sample. ONNX Runtime's threads look for further work for up to 45 ms after a
 * call, on a machine of 3.2 GHz, and would take the next contestant's second core; a thread alone has no others to wait for.
 */
export function restBeside(threads: number): number {
  return threads > 1 ? 100 : 0
}

async function rest({ restMilliseconds }: Plan): Promise<void> {
  if (restMilliseconds > 0) await new Promise((resolve) => setTimeout(resolve, restMilliseconds))
}

/**
 * The time of a warm run: the first compile, fill caches and may take many times as long. One of many seconds was warm for most
 * of them, and of one of half a second the next is.
 */
async function warm(timed: Timed, plan: Plan): Promise<number> {
  if (timed.firstRun > plan.patienceMilliseconds) throw tooSlow('its first run took', timed.firstRun, plan)
  if (timed.firstRun > 5000) return timed.firstRun
  let time = 0
  for (let repetitions = 1, warmed = 0; warmed < plan.warmMilliseconds && time < 500; repetitions *= 2) {
    time = await timed.sample(repetitions)
    warmed += time * repetitions
  }
  return time
}

function pace(time: number, plan: Plan): { repetitions: number; rounds: number } {
  const repetitions = Math.max(1, Math.ceil(plan.sampleMilliseconds / time))
  checkPatience('a run takes', time * repetitions, plan)
  const affordable = Math.floor(plan.budgetMilliseconds / (time * repetitions + plan.restMilliseconds))
  return { repetitions, rounds: Math.max(fewestRounds(plan), Math.min(plan.rounds, affordable)) }
}

/** @throws TooSlow where the fewest rounds of so long a sample are more than the plan can wait. */
export function checkPatience(took: string, time: number, plan: Plan): void {
  if (time * fewestRounds(plan) > plan.patienceMilliseconds) throw tooSlow(took, time, plan)
}

function fewestRounds({ rounds }: Plan): number {
  return Math.min(3, rounds)
}

function tooSlow(took: string, time: number, plan: Plan): TooSlow {
  const [times, patience] = [fewestRounds(plan), seconds(plan.patienceMilliseconds)]
  return new TooSlow(`${took} ${seconds(time)}: ${times} would take longer than the ${patience} that there are for it`)
}

function seconds(milliseconds: number): string {
  return `${Number((milliseconds / 1000).toPrecision(2))} s`
}

async function attempt<Key>(samples: Samples<Key>, key: Key, action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (error) {
    samples.set(key, error instanceof Error ? error : new Error(String(error)))
  }
}
