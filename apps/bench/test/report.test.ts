import { describe, expect, it } from 'vitest'
import { caseGroups, selectCases } from '../src/cases/index.ts'
import { bytesOf, flopsOf, hasWindow, visiblePairs, type AttentionCase } from '../src/cases/case.ts'
import { otherBuildOf } from '../src/peers/other-build.ts'
import { qkvCpu } from '../src/peers/qkv.ts'
import { cacheSizes } from '../src/report/cache-sizes.ts'
import { describeDifferences, differencesBetween } from '../src/report/circumstances.ts'
import { compareReports, describeChanges } from '../src/report/compare.ts'
import { html } from '../src/report/html.ts'
import { markdown } from '../src/report/markdown.ts'
import { describeRegressions, passes, regressionsAgainstOtherBuild, regressionsSince } from '../src/report/regressions.ts'
import type { BenchReport, Row } from '../src/report/report.ts'
import { ceilingShares, standings, sweepEnds, sweepsOf } from '../src/report/summary.ts'
import { closing } from '../src/report/terminal.ts'

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
    memory: { peakBytes: 2 ** 28, reservedBytes: undefined },
  }
}

function report(...rows: Row[]): BenchReport {
  return {
    version: 2,
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
    rooflines: { threads: 1, gigaflops: 40, gigabytes: 12 },
    cases: [
      { bench, flops: flopsOf(bench), bytes: 1e6, rows },
      { bench: { ...bench, id: 'growth/x', sweep: { name: 'growth', title: 'Growth', length: 64 } }, flops: 1, bytes: 1, rows },
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

  it('says what besides is not the same: runtime, threads, versions and settings of those who are in both', () => {
    const ready = (version: string, id = 'other') =>
      ({ id, title: id, device: 'cpu', status: 'ready', version, settings: 'wasm' }) as const
    const before: BenchReport = { ...report(), peers: [ready('1.2'), ready('3', 'gone')] }
    const after: BenchReport = {
      ...report(),
      threads: 2,
      machine: { ...before.machine, runtime: 'Node 24' },
      peers: [ready('1.3'), ready('4', 'new')],
    }
    expect(differencesBetween(before, after)).toEqual([
      'runtime: Node 20 → Node 24',
      'threads: 1 → 2',
      'other: 1.2, wasm → 1.3, wasm',
    ])
    expect(describeDifferences(differencesBetween(before, before))).toBe('Measured under the same circumstances.')
  })
})

describe('a regression', () => {
  const against = (ratio: number, peer = 'other'): BenchReport => report(measured('qkv/cpu', 10), measured(peer, 10 * ratio, ratio))

  const { id: otherBuild } = otherBuildOf(qkvCpu)
  const lost = { peer: 'qkv/cpu', status: 'failed', reason: 'its process ended' } as const
  const since = (before: BenchReport, after: BenchReport): boolean => passes(regressionsSince(before, after))
  const besides = (...rows: Row[]): boolean => passes(regressionsAgainstOtherBuild(report(...rows)))

  it('is a lead over another library that shrank beyond noise, whatever became of our own kernels among themselves', () => {
    expect(since(against(2), against(1.5))).toBe(false)
    expect(since(against(2), against(3))).toBe(true)
    expect(since(against(2), against(1.98))).toBe(true)
    const both = (own: number): BenchReport =>
      report(measured('qkv/cpu', 10), measured('qkv/javascript', 10 * own, own), measured('other', 20, 2))
    expect(since(both(9), both(5))).toBe(true)
  })

  it('a ratio between our own kernels is told as a ratio', () => {
    const changes = compareReports(against(9, 'qkv/javascript'), against(5, 'qkv/javascript'))
    expect(describeChanges(changes)).toContain('against qkv/javascript: QKV 9.00× → 5.00× as fast')
  })

  it('is another build of the same run that took less time beyond noise', () => {
    expect(regressionsAgainstOtherBuild(against(0.8, otherBuild)).regressed).toEqual([bench.id, 'growth/x'])
    expect(passes(regressionsAgainstOtherBuild(against(0.98, otherBuild)))).toBe(true)
    expect(passes(regressionsAgainstOtherBuild(against(1.3, otherBuild)))).toBe(true)
  })

  it('is a result that is no longer given', () => {
    expect(regressionsSince(against(2), report(lost)).regressed).toEqual([
      `${bench.id} (failed: its process ended)`,
      'growth/x (failed: its process ended)',
    ])
    expect(besides(lost, measured(otherBuild, 10, 1))).toBe(false)
  })

  it('cannot be ruled out where nothing was compared', () => {
    expect(since(report(measured('a', 1)), report(measured('b', 1)))).toBe(false)
    const alone = regressionsAgainstOtherBuild(
      report(measured('qkv/cpu', 10), { peer: otherBuild, status: 'failed', reason: 'no answer' }),
    )
    expect(passes(alone)).toBe(false)
    expect(describeRegressions(alone)).toContain(`not compared: ${bench.id}: failed: no answer`)
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
    expect(page.match(/<svg/g)?.length).toBeGreaterThanOrEqual(2)
  })
})

describe('a sweep', () => {
  const step = (length: number, ...rows: Row[]): BenchReport['cases'][number] => ({
    bench: { ...bench, id: `growth/${length}`, sweep: { name: 'growth', title: 'Growth', length } },
    flops: length ** 2,
    bytes: length,
    rows,
  })
  const gone: Row = { peer: 'other', status: 'failed', reason: 'out of memory' }
  const cases = [step(512, measured('qkv/cpu', 1), measured('other', 2, 2)), step(1024, measured('qkv/cpu', 4), gone)]
  const grown: BenchReport = { ...report(measured('qkv/cpu', 10)), cases }

  it('says how far each contestant came and why it ended, but not of one that never began', () => {
    const [sweep] = sweepsOf(grown)
    expect(sweepEnds(grown, sweep!)).toEqual([{ peer: 'other', title: 'Other', reached: 512, reason: 'out of memory' }])
    const unable = step(512, measured('qkv/cpu', 1), { peer: 'other', status: 'skipped', reason: 'has no such operator' })
    expect(sweepEnds({ ...grown, cases: [unable] }, sweep!)).toEqual([])
  })

  it('is drawn as curves of time and memory, and named in words', () => {
    const page = html(grown)
    expect(page.match(/<svg/g)!.length).toBeGreaterThanOrEqual(4)
    expect(page).toContain('Growth: time by length')
    for (const text of [page, markdown(grown)]) expect(text).toContain('512 tokens')
  })

  it('does not count among the cases in which QKV is faster', () => {
    expect(standings(grown)).toEqual([])
    expect(standings(report(measured('qkv/cpu', 10), measured('other', 5, 0.5)))).toMatchObject([
      { title: 'Other', won: 0, cases: 1 },
    ])
  })
})

describe('the ceiling', () => {
  const of = (flops: number, bytes: number): BenchReport => ({
    ...report(),
    cases: [{ bench, flops, bytes, rows: [measured('qkv/cpu', 100)] }],
  })

  it('is the machine’s arithmetic where there is much of it for each byte, else its reading', () => {
    // 40 GFLOP/s for 0.1 s are 4 GFLOP, 12 GB/s are 1.2 GB.
    expect(ceilingShares(of(2e9, 1e6))).toEqual([{ group: 'prefill', least: 0.5, most: 0.5 }])
    expect(ceilingShares(of(1e9, 0.6e9))[0]!.most).toBeCloseTo(0.5, 12)
  })

  it('is told in a line when a run ends', () => {
    expect(closing(of(2e9, 1e6))).toContain('QKV reaches: prefill 0.50')
    expect(ceilingShares({ ...of(1, 1), rooflines: undefined })).toEqual([])
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

  it('a decoding window reads its own keys, not the whole cache', () => {
    const decode = {
      ...bench,
      queryLength: 1,
      keyLength: 4096,
      queryHeads: 1,
      keyHeads: 1,
      headDim: 64,
      valueDim: 64,
      causal: true,
    }
    expect(bytesOf({ ...decode, windowLeft: 127 })).toBe(bytesOf({ ...decode, keyLength: 128 }))
    expect(bytesOf({ ...decode, windowLeft: 4095 })).toBe(bytesOf(decode))
    expect([127, 4094, 4095].map((windowLeft) => hasWindow({ ...decode, windowLeft }))).toEqual([true, true, false])
  })
})

describe('cache sizes', () => {
  // Llama 3 8B keeps 128 KiB a token over its 32 layers in float16.
  it('of Llama 3 8B are 4 KiB a token and layer in float16, and a window bounds those of gpt-oss', () => {
    const of = (title: string) => cacheSizes().find(({ model }) => model === title)
    expect(of('Llama 3 8B')).toMatchObject({
      float16: 8192 * 4096,
      float32: 8192 * 8192,
      int8: 8192 * (2048 + 2 * 8 * 4 * 4),
      int4: 8192 * (1024 + 2 * 8 * 4 * 4),
    })
    expect(of('gpt-oss 20B, sliding layers with sinks')?.float16).toBe(128 * 2 * 8 * 64 * 2)
  })
})
