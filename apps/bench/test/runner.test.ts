import { describe, expect, it } from 'vitest'
import type { AttentionCase } from '../src/cases/case.ts'
import { connect } from '../src/host/connection.ts'
import { startHere } from '../src/host/in-process.ts'
import { plainLoop } from '../src/peers/plain-loop.ts'
import { Unavailable, type Contestant, type Peer } from '../src/peers/peer.ts'
import { runCases } from '../src/runner.ts'

const bench: AttentionCase = {
  kind: 'attention',
  id: 'test/small',
  source: 'a test',
  batch: 1,
  queryHeads: 2,
  keyHeads: 1,
  queryLength: 5,
  keyLength: 9,
  headDim: 8,
  valueDim: 8,
  causal: true,
  keyDtype: 'float32',
}

describe('a run', () => {
  it('a peer that is right is measured, with its ratio to the subject', async () => {
    const { cases } = await run([plainLoop])
    const [subject, row] = cases[0]!.rows
    expect(subject).toMatchObject({ status: 'measured', ratio: undefined })
    expect(row).toMatchObject({ status: 'measured', agreement: { right: true } })
  })

  it('a peer that cannot do a case is a row with its reason', async () => {
    const refusing = peer('refusing', async () => {
      throw new Unavailable('has no such operator')
    })
    expect((await run([refusing])).cases[0]!.rows[1]).toEqual({
      peer: 'refusing',
      status: 'skipped',
      reason: 'has no such operator',
    })
  })

  it('a peer that is not there is said to be skipped before any case', async () => {
    const absent: Peer = { ...plainLoop, id: 'absent', load: () => Promise.reject(new Unavailable('needs a GPU')) }
    expect((await run([absent])).peers[1]).toMatchObject({ id: 'absent', status: 'skipped', reason: 'needs a GPU' })
  })

  it('a peer that fails is a row that says so, and is started anew for the next case', async () => {
    let attempts = 0
    const failing = peer('failing', async () => {
      if (++attempts === 1) throw new Error('out of memory\nat somewhere')
      return answering(bench)
    })
    const { cases } = await run([failing], [bench, { ...bench, id: 'test/next' }])
    expect(cases[0]!.rows[1]).toEqual({ peer: 'failing', status: 'failed', reason: 'out of memory' })
    expect(cases[1]!.rows[1]).toMatchObject({ status: 'measured' })
  })

  it('a peer that hangs ends as a row that says so', async () => {
    const hanging = peer('hanging', () => new Promise(() => {}))
    expect((await run([hanging])).cases[0]!.rows[1]).toMatchObject({
      status: 'failed',
      reason: expect.stringContaining("no answer to 'prepare'"),
    })
  })

  it('a peer that dies ends as a row that says so', async () => {
    const dying = peer('dying', () => new Promise(() => {}))
    const { cases } = await runCases({
      ...options([dying]),
      startHost: ({ id }) =>
        id === 'dying'
          ? connect((onReply, onDeath) => ({
              send: ({ ask }) =>
                ask === 'load'
                  ? onReply({ ok: true, value: { version: '', settings: '' } })
                  : onDeath('its process ended (SIGSEGV)'),
              close() {},
            }))
          : startHere([plainLoop]),
    })
    expect(cases[0]!.rows[1]).toEqual({ peer: 'dying', status: 'failed', reason: 'its process ended (SIGSEGV)' })
  })

  it('a peer with another result is called wrong and not timed', async () => {
    const wrong = peer('wrong', async () => ({
      ...(await answering(bench)),
      result: async () => new Float32Array(2 * 5 * 8).fill(1),
    }))
    expect((await run([wrong])).cases[0]!.rows[1]).toMatchObject({ status: 'wrong', agreement: { right: false } })
  })

  it('a peer that takes part in one kind of case only has no row elsewhere', async () => {
    const elsewhere: Peer = { ...plainLoop, id: 'elsewhere', only: 'writing' }
    expect((await run([elsewhere])).cases[0]!.rows.map(({ peer }) => peer)).toEqual([plainLoop.id])
  })

  it('a peer that ended in a sweep is not asked for longer steps', async () => {
    let asked = 0
    const failing = peer('failing', async () => {
      asked++
      throw new Error('out of memory')
    })
    const steps = [512, 1024].map((length) => ({ ...bench, id: `${length}`, sweep: { name: 'growth', title: 'Growth', length } }))
    const { cases } = await run([failing], steps)
    expect(asked).toBe(1)
    expect(cases[1]!.rows[1]).toMatchObject({ status: 'skipped', reason: 'ended at 512 tokens: out of memory' })
  })

  it('a run with a budget leaves out who is too slow for it, and says so', async () => {
    const slow = peer('slow', async () => ({
      ...(await answering(bench)),
      run: () => new Promise((resolve) => setTimeout(resolve, 300)),
      result: async () => await computed(bench),
    }))
    const { cases } = await runCases({ ...options([slow]), budgetMilliseconds: 500 })
    expect(cases[0]!.rows[0]).toMatchObject({ status: 'measured' })
    expect(cases[0]!.rows[1]).toMatchObject({ status: 'skipped', reason: expect.stringContaining('there are for it') })
  })

  it('a run with a budget begins with what is light, and reports in the order that was asked', async () => {
    const heavy = { ...bench, id: 'test/heavy', keyLength: 90 }
    const order: string[] = []
    const { cases } = await runCases({
      ...options([], [heavy, bench]),
      budgetMilliseconds: 5000,
      onProgress: (progress) => progress.event === 'case' && order.push(progress.bench.id),
    })
    expect(order).toEqual(['test/small', 'test/heavy'])
    expect(cases.map(({ bench: { id } }) => id)).toEqual(['test/heavy', 'test/small'])
  })

  it('a peer whose result holds NaN is called wrong', async () => {
    const broken = peer('broken', async () => ({
      ...(await answering(bench)),
      result: async () => new Float32Array(2 * 5 * 8).fill(NaN),
    }))
    expect((await run([broken])).cases[0]!.rows[1]).toMatchObject({ status: 'wrong' })
  })
})

function options(peers: readonly Peer[], cases: readonly AttentionCase[] = [bench]) {
  return {
    fields: [{ subject: plainLoop, peers }],
    cases,
    threads: 1,
    plan: {
      rounds: 3,
      warmMilliseconds: 2,
      restMilliseconds: 0,
      sampleMilliseconds: 1,
      budgetMilliseconds: 100,
      patienceMilliseconds: 1000,
    },
    startHost: ({ id }: Peer) => startHere([plainLoop, ...peers].filter((known) => known.id === id)),
    deadlineMilliseconds: 2000,
  }
}

function run(peers: readonly Peer[], cases?: readonly AttentionCase[]) {
  return runCases(options(peers, cases))
}

async function answering(of: AttentionCase): Promise<Contestant> {
  return (await plainLoop.load({ threads: 1 })).prepare(of)
}

/** What is right for a case. */
async function computed(of: AttentionCase): Promise<Float32Array> {
  const contestant = await answering(of)
  await contestant.run()
  return contestant.result()
}

function peer(id: string, prepare: () => Promise<Contestant>): Peer {
  return { id, title: id, device: 'cpu', load: async () => ({ version: '1', settings: '', prepare }) }
}
