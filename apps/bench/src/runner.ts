import { bytesOf, flopsOf, type BenchCase } from './cases/case.ts'
import type { Host } from './host/connection.ts'
import { interleave, type Plan } from './measure/interleave.ts'
import type { Field } from './peers/field.ts'
import type { ModelFiles, Peer } from './peers/peer.ts'
import type { CaseReport, PeerReport, Row } from './report/report.ts'
import { Seat, type Allowance } from './seat.ts'

export interface RunOptions {
  readonly fields: readonly Field[]
  readonly cases: readonly BenchCase[]
  readonly threads: number
  /** What writing cases write with. */
  readonly model?: ModelFiles | undefined
  readonly plan: Plan
  /** Ends the run by about then: each case gets its share of what is left, and the slow fewer rounds, or none, and rows that say so. */
  readonly budgetMilliseconds?: number | undefined
  /** Starts the home of one contestant: a process, a worker. */
  readonly startHost: (peer: Peer) => Host
  /** How long a contestant may take to get ready, and for one sample. */
  readonly deadlineMilliseconds: number
  readonly onProgress?: (progress: Progress) => void
  readonly signal?: AbortSignal | undefined
}

export type Progress =
  | { readonly event: 'peer'; readonly peer: PeerReport }
  | { readonly event: 'case'; readonly bench: BenchCase; readonly number: number; readonly of: number }
  | { readonly event: 'result'; readonly result: CaseReport; readonly number: number; readonly of: number }

/** Runs every case among every field's contestants. A contestant that refuses, fails, hangs or is wrong is a row that says so. */
export async function runCases(options: RunOptions): Promise<{ peers: PeerReport[]; cases: CaseReport[] }> {
  const { fields, budgetMilliseconds, onProgress, signal } = options
  const end = budgetMilliseconds === undefined ? undefined : performance.now() + budgetMilliseconds
  const seats = fields.map((field) => [field.subject, ...field.peers].map((peer) => new Seat(peer, options)))
  const cases = budgetMilliseconds === undefined ? options.cases : lightFirst(options.cases)
  const results: CaseReport[] = []
  try {
    for (const seat of seats.flat()) onProgress?.({ event: 'peer', peer: await seat.introduce() })
    const all = seats.flatMap((field) => cases.map((bench) => ({ bench, field: field.filter((seat) => seat.takesPart(bench)) })))
    for (const [index, { field, bench }] of all.entries()) {
      if (signal?.aborted) break
      const place = { number: index + 1, of: all.length }
      onProgress?.({ event: 'case', bench, ...place })
      const left = end === undefined ? Infinity : end - performance.now()
      const allowance = allowanceOf(options, left / (all.length - index))
      const result = left > 0 ? await runCase(bench, field, allowance) : unasked(bench, field)
      results.push(result)
      onProgress?.({ event: 'result', result, ...place })
    }
    return { peers: await Promise.all(seats.flat().map((seat) => seat.introduce())), cases: inOrder(results, options.cases) }
  } finally {
    for (const seat of seats.flat()) seat.close()
  }
}

/** What light cases leave of their shares, heavy ones can use. */
function lightFirst(cases: readonly BenchCase[]): readonly BenchCase[] {
  return cases.toSorted((a, b) => flopsOf(a) - flopsOf(b))
}

/** Results as the cases were given; of two fields, one case's stand together. */
function inOrder(results: readonly CaseReport[], cases: readonly BenchCase[]): CaseReport[] {
  const place = new Map(cases.map(({ id }, index) => [id, index]))
  return results.toSorted((a, b) => place.get(a.bench.id)! - place.get(b.bench.id)!)
}

/** The plan, cut to the case's share of the time that is left, where the run is to end. */
function allowanceOf({ plan, deadlineMilliseconds }: RunOptions, share: number): Allowance {
  return {
    plan: { ...plan, patienceMilliseconds: Math.min(plan.patienceMilliseconds, share / 2) },
    shareMilliseconds: share,
    deadlineMilliseconds: Math.min(deadlineMilliseconds, Math.max(10_000, share)),
  }
}

/** A case for which no time is left. */
function unasked(bench: BenchCase, field: readonly Seat[]): CaseReport {
  const rows = field.map(({ id }): Row => ({ peer: id, status: 'skipped', reason: 'the run’s time was over' }))
  return { bench, flops: flopsOf(bench), bytes: bytesOf(bench), rows }
}

async function runCase(bench: BenchCase, field: readonly Seat[], allowance: Allowance): Promise<CaseReport> {
  const rows = new Map<Seat, Row>()
  const ready: Seat[] = []
  for (const seat of field) {
    const row = await seat.prepare(bench, allowance)
    if (row === undefined) ready.push(seat)
    else rows.set(seat, row)
  }
  // Those who are ready share the case's time.
  const budgetMilliseconds = Math.min(allowance.plan.budgetMilliseconds, allowance.shareMilliseconds / ready.length)
  const samples = await interleave(new Map(ready.map((seat) => [seat, seat])), { ...allowance.plan, budgetMilliseconds })
  const [subject] = field
  const ours = subject && samples.get(subject)
  for (const [seat, taken] of samples) rows.set(seat, seat.row(taken, seat === subject || !Array.isArray(ours) ? undefined : ours))
  for (const seat of ready) await seat.release()
  return { bench, flops: flopsOf(bench), bytes: bytesOf(bench), rows: field.map((seat) => rows.get(seat)!) }
}
