import type { BenchCase } from './cases/case.ts'
import { HostFailed, Refused, type Host } from './host/connection.ts'
import type { Answers, Memory, Question } from './host/protocol.ts'
import type { Agreement } from './measure/check.ts'
import { checkPatience, TooSlow, type Plan, type Timed } from './measure/interleave.ts'
import { ratioOfPairs, spreadOf } from './measure/statistics.ts'
import { idInItsBuild } from './peers/other-build.ts'
import type { ModelFiles, Peer } from './peers/peer.ts'
import type { PeerReport, Row } from './report/report.ts'

export interface SeatOptions {
  readonly threads: number
  readonly model?: ModelFiles | undefined
  readonly startHost: (peer: Peer) => Host
  readonly deadlineMilliseconds: number
}

/** What a case may take of the run. */
export interface Allowance {
  readonly plan: Plan
  /** For all contestants together. */
  readonly shareMilliseconds: number
  readonly deadlineMilliseconds: number
}

/** A peer's place in the run: its host, started anew after a failure, and what it is doing. */
export class Seat implements Timed {
  firstRun = 0
  readonly #peer: Peer
  readonly #options: SeatOptions
  /** Of each sweep that it has begun, its last step: tokens and milliseconds. */
  readonly #begun = new Map<string, { readonly length: number; readonly time: number }>()
  /** Sweeps in which it was too slow or failed, or had begun and refused, with the length and why: longer steps are not tried. */
  readonly #ended = new Map<string, string>()
  #host: Host | undefined
  #introduction: PeerReport | undefined
  #bench: BenchCase | undefined
  #how = ''
  #agreement: Agreement = { ofBound: null, relative: 0, right: false }
  #memory: Memory = { peakBytes: undefined, reservedBytes: undefined }
  #deadline: number

  constructor(peer: Peer, options: SeatOptions) {
    this.#peer = peer
    this.#options = options
    this.#deadline = options.deadlineMilliseconds
  }

  get id(): string {
    return this.#peer.id
  }

  takesPart({ kind }: BenchCase): boolean {
    return this.#peer.only === undefined || this.#peer.only === kind
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
  async prepare(bench: BenchCase, { plan, deadlineMilliseconds }: Allowance): Promise<Row | undefined> {
    const peer = this.#peer.id
    const introduction = await this.introduce()
    if (introduction.status !== 'ready') return { peer, status: introduction.status, reason: introduction.reason }
    const ended = bench.sweep && this.#ended.get(bench.sweep.name)
    if (ended !== undefined) return { peer, status: 'skipped', reason: ended }
    this.#bench = bench
    this.#deadline = deadlineMilliseconds
    try {
      this.#expectInTime(bench, plan)
      // A step of a sweep is the first that its host sees, so that its memory is its own.
      if (bench.sweep) this.close()
      if (this.#host === undefined) await this.#load()
      this.#how = (await this.#ask({ ask: 'prepare', bench })).how
      const { milliseconds, agreement } = await this.#ask({ ask: 'check' })
      this.firstRun = milliseconds
      this.#agreement = agreement
    } catch (error) {
      return this.#ends(error)
    }
    if (this.#agreement.right) return undefined
    await this.release()
    return { peer, status: 'wrong', how: this.#how, agreement: this.#agreement }
  }

  /** The next step of a sweep takes as much longer as its pairs are more: what takes a minute is not begun to find that out. */
  #expectInTime({ sweep }: BenchCase, plan: Plan): void {
    const last = sweep && this.#begun.get(sweep.name)
    if (last === undefined) return
    checkPatience('a run would take about', last.time * (sweep!.length / last.length) ** 2, plan)
  }

  async sample(repetitions: number): Promise<number> {
    const { milliseconds, memory } = await this.#ask({ ask: 'run', repetitions })
    this.#memory = memory
    return milliseconds
  }

  row(samples: number[] | Error, ours: readonly number[] | undefined): Row {
    if (!Array.isArray(samples)) return this.#ends(samples)
    const sweep = this.#bench?.sweep
    if (sweep) this.#begun.set(sweep.name, { length: sweep.length, time: spreadOf(samples).median })
    return {
      peer: this.#peer.id,
      status: 'measured',
      how: this.#how,
      agreement: this.#agreement,
      milliseconds: spreadOf(samples),
      ratio: ours && ratioOfPairs(samples.slice(0, ours.length), ours),
      samples,
      memory: this.#memory,
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
    const { threads, model } = this.#options
    return this.#ask({ ask: 'load', peer: idInItsBuild(this.#peer.id), threads, model })
  }

  #ask<Q extends Question>(question: Q): Promise<Answers[Q['ask']]> {
    if (this.#host === undefined) throw new HostFailed('it is not running')
    return this.#host.ask(question, this.#deadline)
  }

  /** The row of a contestant that came to no figures; of a sweep it is asked no longer steps. */
  #ends(error: unknown): Row {
    this.#recover(error)
    const result = outcome(error)
    const sweep = this.#bench?.sweep
    if (sweep && (this.#begun.has(sweep.name) || !(error instanceof Refused)))
      this.#ended.set(sweep.name, `ended at ${sweep.length.toLocaleString('en')} tokens: ${result.reason}`)
    return { peer: this.#peer.id, ...result }
  }

  /** A refusal leaves the host as it was; after anything else the next case starts a new one. */
  #recover(error: unknown): void {
    if (!(error instanceof Refused || error instanceof TooSlow)) this.close()
  }
}

function outcome(error: unknown): { status: 'skipped' | 'failed'; reason: string } {
  const reason = error instanceof Error ? error.message : String(error)
  return { status: error instanceof Refused || error instanceof TooSlow ? 'skipped' : 'failed', reason }
}
