import { bytesOf, flopsOf, type BenchCase } from './cases/case.ts'
import { HostFailed, Refused, type Host } from './host/connection.ts'
import type { Answers, Question } from './host/protocol.ts'
import type { Agreement } from './measure/check.ts'
import { interleave, type Plan, type Timed } from './measure/interleave.ts'
import { ratioOfPairs, spreadOf } from './measure/statistics.ts'
import { idInItsBuild } from './peers/other-build.ts'
import type { Peer } from './peers/peer.ts'
import type { Field } from './peers/field.ts'
import type { CaseReport, PeerReport, Row } from './report/report.ts'

export interface RunOptions {
  readonly fields: readonly Field[]
  readonly cases: readonly BenchCase[]
  readonly threads: number
  readonly plan: Plan
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
  const { fields, cases, onProgress, signal } = options
  const seats = fields.map((field) => [field.subject, ...field.peers].map((peer) => new Seat(peer, options)))
  const results: CaseReport[] = []
  try {
    for (const seat of seats.flat()) onProgress?.({ event: 'peer', peer: await seat.introduce() })
    const all = seats.flatMap((field) => cases.map((bench) => ({ field, bench })))
    for (const [index, { field, bench }] of all.entries()) {
      if (signal?.aborted) break
      const place = { number: index + 1, of: all.length }
      onProgress?.({ event: 'case', bench, ...place })
      const result = await runCase(bench, field, options.plan)
      results.push(result)
      onProgress?.({ event: 'result', result, ...place })
    }
    return { peers: await Promise.all(seats.flat().map((seat) => seat.introduce())), cases: results }
  } finally {
    for (const seat of seats.flat()) seat.close()
  }
}

async function runCase(bench: BenchCase, field: readonly Seat[], plan: Plan): Promise<CaseReport> {
  const rows = new Map<Seat, Row>()
  const ready = new Map<Seat, Timed>()
  for (const seat of field) {
    const row = await seat.prepare(bench)
    if (row === undefined) ready.set(seat, seat)
    else rows.set(seat, row)
  }
  const samples = await interleave(ready, plan)
  const [subject] = field
  const ours = subject && samples.get(subject)
  for (const [seat, taken] of samples) rows.set(seat, seat.row(taken, seat === subject || !Array.isArray(ours) ? undefined : ours))
  for (const seat of ready.keys()) await seat.release()
  return { bench, flops: flopsOf(bench), bytes: bytesOf(bench), rows: field.map((seat) => rows.get(seat)!) }
}

/** A peer's place in the run: its host, started anew after a failure, and what it is doing. */
class Seat implements Timed {
  readonly #peer: Peer
  readonly #options: RunOptions
  #host: Host | undefined
  #introduction: PeerReport | undefined
  #how = ''
  #agreement: Agreement = { ofBound: 0, relative: 0, right: false }
  #residentBytes: number | undefined

  constructor(peer: Peer, options: RunOptions) {
    this.#peer = peer
    this.#options = options
  }

  /** Whether the peer runs here at all; asked once. */
  async introduce(): Promise<PeerReport> {
    const { id, title, device } = this.#peer
    if (this.#introduction === undefined) {
      try {
        const { version, settings } = await this.#load()
        this.#introduction = { id, title, device, status: 'ready', version, settings }
      } catch (error) {
        this.#introduction = { id, title, device, ...outcome(error) }
        this.close()
      }
    }
    return this.#introduction
  }

  /** Gets ready for a case and checks the result; a row where there is nothing to time. */
  async prepare(bench: BenchCase): Promise<Row | undefined> {
    const peer = this.#peer.id
    const introduction = await this.introduce()
    if (introduction.status !== 'ready') return { peer, status: introduction.status, reason: introduction.reason }
    try {
      if (this.#host === undefined) await this.#load()
      this.#how = (await this.#ask({ ask: 'prepare', bench })).how
      this.#agreement = await this.#ask({ ask: 'check' })
    } catch (error) {
      this.#recover(error)
      return { peer, ...outcome(error) }
    }
    if (this.#agreement.right) return undefined
    await this.release()
    return { peer, status: 'wrong', how: this.#how, agreement: this.#agreement }
  }

  async sample(repetitions: number): Promise<number> {
    const { milliseconds, residentBytes } = await this.#ask({ ask: 'run', repetitions })
    this.#residentBytes = residentBytes
    return milliseconds
  }

  row(samples: number[] | Error, ours: readonly number[] | undefined): Row {
    const peer = this.#peer.id
    if (!Array.isArray(samples)) {
      this.#recover(samples)
      return { peer, ...outcome(samples) }
    }
    return {
      peer,
      status: 'measured',
      how: this.#how,
      agreement: this.#agreement,
      milliseconds: spreadOf(samples),
      ratio: ours && ratioOfPairs(samples.slice(0, ours.length), ours),
      samples,
      residentBytes: this.#residentBytes,
    }
  }

  async release(): Promise<void> {
    if (this.#host !== undefined) await this.#ask({ ask: 'release' }).catch((error: unknown) => this.#recover(error))
  }

  close(): void {
    this.#host?.close()
    this.#host = undefined
  }

  async #load() {
    this.#host = this.#options.startHost(this.#peer)
    return this.#ask({ ask: 'load', peer: idInItsBuild(this.#peer.id), threads: this.#options.threads })
  }

  #ask<Q extends Question>(question: Q): Promise<Answers[Q['ask']]> {
    if (this.#host === undefined) throw new HostFailed('it is not running')
    return this.#host.ask(question, this.#options.deadlineMilliseconds)
  }

  /** A refusal leaves the host as it was; after anything else the next case starts a new one. */
  #recover(error: unknown): void {
    if (!(error instanceof Refused)) this.close()
  }
}

function outcome(error: unknown): { status: 'skipped' | 'failed'; reason: string } {
  const reason = error instanceof Error ? error.message : String(error)
  return { status: error instanceof Refused ? 'skipped' : 'failed', reason }
}
