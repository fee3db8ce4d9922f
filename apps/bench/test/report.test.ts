import { describe, expect, it } from 'vitest'
import { caseGroups, selectCases } from '../src/cases/index.ts'
import { flopsOf, visiblePairs, type AttentionCase } from '../src/cases/case.ts'
import { compareReports, describeChanges } from '../src/report/compare.ts'
import { html } from '../src/report/html.ts'
import { markdown } from '../src/report/markdown.ts'
import type { BenchReport, Row } from '../src/report/report.ts'

const bench = caseGroups[0]!.cases[0] as AttentionCase
const agreement = { ofBound: 0.1, relative: 1e-7, right: true }

function measured(peer: string, milliseconds: number, ratio?: number): Row {
  const around = (middle: number) => ({ median: middle, low: 0.99 * middle, high: 1.01 * middle })
  return {
    peer,
    status: 'measured',
    how: 'attention',
    agreement,
    milliseconds: around(milliseconds),
    ratio: ratio === undefined ? undefined : around(ratio),
    samples: [milliseconds],
    residentBytes: 2 ** 28,
  }
}

function report(...rows: Row[]): BenchReport {
  return {
    version: 1,
    date: '2026-01-02T03:04:05Z',
    commit: 'abc1234',
    threads: 1,
    machine: {
      processor: 'A <processor>',
      cores: 2,
      memoryBytes: 2 ** 34,
      system: 'Linux',
      runtime: 'Node 20',
      adapter: undefined,
      load: 0.5,
    },
    peers: [{ id: 'other', title: 'Other', device: 'cpu', status: 'skipped', reason: 'not & never' }],
    rooflines: { gigaflops: 40, gigabytes: 12 },
    cases: [
      { bench, flops: flopsOf(bench), bytes: 1e6, rows },
      { bench: { ...bench, id: 'growth/x' }, flops: 1, bytes: 1, rows },
    ],
  }
}

describe('comparing two reports', () => {
  it('a peer that QKV was 2× as fast as and is now 3× as fast as is a change', () => {
    const changes = compareReports(
      report(measured('qkv/cpu', 10), measured('other', 20, 2)),
      report(measured('qkv/cpu', 10), measured('other', 30, 3)),
    )
    expect(changes.filter(({ beyondNoise }) => beyondNoise).map(({ peer, factor }) => [peer, factor])).toEqual([
      ['other', 1.5],
      ['other', 1.5],
    ])
    expect(describeChanges(changes)).toContain('against other: QKV 2.00× → 3.00× as fast')
  })

  it('a slower machine changes times, not ratios', () => {
    const changes = compareReports(
      report(measured('qkv/cpu', 10), measured('other', 20, 2)),
      report(measured('qkv/cpu', 15), measured('other', 30, 2)),
    )
    expect(changes.filter(({ beyondNoise }) => beyondNoise).every(({ peer }) => peer === 'qkv/cpu')).toBe(true)
  })

  it('rows that only one report has are not compared', () => {
    expect(compareReports(report(measured('a', 1)), report(measured('b', 1)))).toEqual([])
  })
})

describe('a written report', () => {
  const lost = report(measured('qkv/cpu', 10), measured('other', 5, 0.5), {
    peer: 'third',
    status: 'failed',
    reason: 'its process ended',
  })

  it('shows what is lost as plainly as what is won, and failures with their reason', () => {
    for (const text of [markdown(lost), html(lost)]) {
      expect(text).toContain('0.500× (0.495–0.505)')
      expect(text).toContain('failed: its process ended')
    }
  })

  it('as HTML it stands alone: nothing is fetched, and names are escaped', () => {
    const page = html(lost)
    expect(page).not.toMatch(/(?:src|href)="|@import|url\(/)
    expect(page).toContain('A &lt;processor&gt;')
    expect(page).toContain('not &amp; never')
    expect(page.match(/<svg/g)?.length).toBeGreaterThanOrEqual(4)
  })
})

describe('the cases', () => {
  it('have names of their own', () => {
    const ids = selectCases({}).map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('quick ones are one of each group', () => {
    expect(selectCases({ quick: true })).toHaveLength(caseGroups.length)
  })

  it('a causal case counts the pairs that are seen, n(n + 1)/2 a head', () => {
    expect(visiblePairs({ ...bench, queryLength: 100, keyLength: 100, causal: true, queryHeads: 3 })).toBe(3 * 5050)
  })

  it('documents and windows count what is left', () => {
    const masked = { ...bench, queryLength: 100, keyLength: 100, causal: true, queryHeads: 1 }
    expect(visiblePairs({ ...masked, documents: [50, 50] })).toBe(2 * 1275)
    expect(visiblePairs({ ...masked, windowLeft: 0 })).toBe(100)
  })
})
