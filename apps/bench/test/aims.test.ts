import { describe, expect, it } from 'vitest'
import { selectCases } from '../src/cases/index.ts'
import { bytesOf, flopsOf } from '../src/cases/case.ts'
import { aimsOf } from '../src/report/aims.ts'
import { html } from '../src/report/html.ts'
import { markdown } from '../src/report/markdown.ts'
import type { BenchReport, Row } from '../src/report/report.ts'
import { closing } from '../src/report/terminal.ts'

describe('what QKV aims at', () => {
  it('two threads against one is the ratio of both in a run with two', () => {
    const [bench, rows] = ['prefill/full-64/1024', [took('qkv/cpu', 40), took('qkv/one-thread', 76)]] as const
    const aim = 'Two threads against one'
    expect(figureOf(aim, report(2, bench, rows))).toEqual({
      what: aim,
      bound: '≥ 1.85×',
      here: '1.9×',
      cases: 1,
      reached: 1,
      notMeasured: 0,
    })
    expect(figureOf(aim, report(4, bench, rows))).toBeUndefined()
  })

  it('sharing costs what is left of the time when one thread’s is divided', () => {
    const sharing = report(2, 'overhead/sharing/32', [took('qkv/cpu', 0.02), took('qkv/one-thread', 0.016)])
    expect(figureOf('Sharing: two threads’ time less half of one’s', sharing)).toMatchObject({
      here: '12 µs',
      reached: 1,
    })
  })

  it('portable JavaScript is compared with plain loops, whoever else ran', () => {
    const portable = report(1, 'small/full-64/64', [took('qkv/cpu', 1), took('qkv/javascript', 10), took('plain-loop', 14)])
    expect(figureOf('Portable JavaScript against three plain loops', portable)).toMatchObject({ here: '1.4×', reached: 0 })
  })

  it('a cache of smaller numbers is compared with the same cache in float32', () => {
    const [whole, small] = [
      report(1, 'decode/llama-3-8b/8192', [took('qkv/cpu', 12)]),
      report(1, 'cache/int8/llama-3-8b/8192', [took('qkv/cpu', 10)]),
    ]
    const aim = 'Float16 and int8 caches against float32'
    expect(figureOf(aim, { ...whole, cases: [...whole.cases, ...small.cases] })).toMatchObject({ here: '1.2×', reached: 1 })
    expect(figureOf(aim, small)).toBeUndefined()
  })

  it('what could have told but was not measured is counted beside what was', () => {
    const late: Row = { peer: 'onnxruntime-web/wasm', status: 'skipped', reason: 'the run’s time was over' }
    const peers: BenchReport['peers'] = ['qkv/cpu', late.peer].map((id) => ({
      id,
      title: id,
      device: 'cpu',
      status: 'ready',
      version: '1',
      settings: '',
    }))
    const cut = { ...report(1, 'prefill/full-128/4096', [took('qkv/cpu', 40), late]), peers }
    const aim = 'Full prefill, heads of 128, against ONNX Runtime Web'
    expect(figureOf(aim, cut)).toMatchObject({ here: '—', cases: 0, reached: 0, notMeasured: 1 })
    expect(figureOf('Full prefill, heads of 128, of all multiply-adds', cut)).toMatchObject({ cases: 1, notMeasured: 0 })
    for (const text of [html(cut), markdown(cut), closing(cut)]) expect(text).toContain('0 of 0, 1 not measured')
    expect(figureOf(aim, { ...cut, peers: peers.slice(0, 1) })).toBeUndefined()
  })

  it('a miss stands in every report like a hit', () => {
    const slow = report(1, 'overhead/call/1', [took('qkv/cpu', 0.008)])
    for (const text of [html(slow), markdown(slow), closing(slow)]) {
      expect(text).toContain('A call next to no arithmetic')
      expect(text).toContain('0 of 1')
    }
  })

  it('every aim has cases that can tell', () => {
    const rows = ['qkv/cpu', 'qkv/one-thread', 'qkv/javascript', 'plain-loop', 'onnxruntime-web/wasm'].map((peer) => took(peer, 1))
    const cases = selectCases({}).map((bench) => ({ bench, flops: flopsOf(bench), bytes: bytesOf(bench), rows }))
    expect(aimsOf({ ...report(2, 'small/full-64/64', []), cases }).map(({ what }) => what)).toHaveLength(17)
  })
})

function figureOf(aim: string, of: BenchReport) {
  return aimsOf(of).find(({ what }) => what === aim)
}

/** A row of a contestant, with its ratio to a first one that took a millisecond, or 40. */
function took(peer: string, milliseconds: number): Row {
  const spread = (median: number) => ({ median, low: median, high: median })
  return {
    peer,
    status: 'measured',
    how: 'attention',
    agreement: { ofBound: 0, relative: 0, right: true },
    milliseconds: spread(milliseconds),
    ratio: peer === 'qkv/cpu' ? undefined : spread(milliseconds / (milliseconds > 20 ? 40 : 1)),
    samples: [milliseconds],
    memory: { peakBytes: undefined, reservedBytes: 2 ** 20 },
  }
}

function report(threads: number, id: string, rows: readonly Row[]): BenchReport {
  const [bench] = selectCases({ filter: id })
  return {
    version: 2,
    date: '2026-01-02T03:04:05Z',
    commit: 'abc1234',
    threads,
    machine: {
      processor: 'A processor',
      cores: 2,
      memoryBytes: undefined,
      system: 'Linux',
      runtime: 'Node 20',
      adapter: undefined,
      load: undefined,
    },
    peers: [],
    rooflines: { threads, gigaflops: 40, gigabytes: 12 },
    cases: [{ bench: bench!, flops: flopsOf(bench!), bytes: bytesOf(bench!), rows }],
  }
}
