import { operandBytes } from '../cases/case.ts'
import type { BenchReport, CaseReport, Measured, Row } from './report.ts'
import { ceilingAt } from './summary.ts'

/** One number that cases of a report give, or do not. */
export interface Figure {
  /** Whose rows it is made from. */
  readonly contestants: readonly string[]
  /** Runs that can tell; all where it is left out. */
  readonly tells?: (report: BenchReport) => boolean
  readonly of: (result: CaseReport, report: BenchReport) => number | undefined
}

/** How many times QKV’s own time a peer took. */
export function against(peer: string): Figure {
  return { contestants: ['qkv/cpu', peer], of: (result) => measuredOf(result, peer)?.ratio?.median }
}

/** Of the most that the machine can do. */
export const ofCeiling: Figure = {
  contestants: ['qkv/cpu'],
  of(result, { rooflines }) {
    const rate = rateOf(result)
    return rate === undefined || rooflines === undefined ? undefined : rate / ceilingAt(rooflines, result.flops / result.bytes)
  },
}

/** QKV's rate beside its rate in another case, whose name is the same but for its beginning. */
export function rateBeside(beginning: RegExp, another: string): Figure {
  return {
    contestants: ['qkv/cpu'],
    of(result, { cases }) {
      const other = cases.find(({ bench }) => bench.id === result.bench.id.replace(beginning, another))
      const [here, there] = [rateOf(result), other && rateOf(other)]
      return here === undefined || there === undefined ? undefined : here / there
    },
  }
}

/** In microseconds. */
export const callCost: Figure = { contestants: ['qkv/cpu'], of: (result) => microseconds(measuredOf(result, 'qkv/cpu')) }

/** What sharing work costs, in microseconds: the time beyond an even part of one thread's. */
export const sharing: Figure = {
  contestants: ['qkv/cpu', 'qkv/one-thread'],
  of(result, { threads }) {
    const [shared, alone] = ['qkv/cpu', 'qkv/one-thread'].map((peer) => microseconds(measuredOf(result, peer)))
    return shared === undefined || alone === undefined ? undefined : shared - alone / threads
  },
}

export const twoThreads: Figure = { ...against('qkv/one-thread'), tells: ({ threads }) => threads === 2 }

/** Taken beyond inputs and output, in MiB. */
export const memoryBeyond: Figure = {
  contestants: ['qkv/cpu'],
  of(result) {
    const reserved = measuredOf(result, 'qkv/cpu')?.memory.reservedBytes
    if (reserved === undefined || result.bench.kind !== 'attention') return undefined
    return (reserved - operandBytes(result.bench)) / 2 ** 20
  },
}

/** How many times portable JavaScript's time plain loops took. */
export const portable: Figure = {
  contestants: ['qkv/javascript', 'plain-loop'],
  of(result) {
    const [loops, ours] = [measuredOf(result, 'plain-loop'), measuredOf(result, 'qkv/javascript')]
    return loops && ours && loops.milliseconds.median / ours.milliseconds.median
  },
}

/** In 10⁹ operations a second. */
function rateOf(result: CaseReport): number | undefined {
  const own = measuredOf(result, 'qkv/cpu')
  return own && result.flops / own.milliseconds.median / 1e6
}

function measuredOf({ rows }: CaseReport, peer: string): (Row & Measured) | undefined {
  return rows.find((row): row is Row & Measured => row.peer === peer && row.status === 'measured')
}

function microseconds(row: Measured | undefined): number | undefined {
  return row && 1000 * row.milliseconds.median
}
