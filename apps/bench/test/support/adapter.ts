import { expect, it } from 'vitest'
import type { AttentionCase, BenchCase } from '../../src/cases/case.ts'
import { checkResult } from '../../src/measure/check.ts'
import { Unavailable, type Peer } from '../../src/peers/peer.ts'

const plain: AttentionCase = {
  kind: 'attention',
  id: 'test/full',
  source: 'a test',
  batch: 1,
  queryHeads: 4,
  keyHeads: 4,
  queryLength: 37,
  keyLength: 37,
  headDim: 32,
  valueDim: 32,
  causal: false,
  keyDtype: 'float32',
}

/** Small cases of every kind that the benchmark times. */
const cases: readonly BenchCase[] = [
  plain,
  { ...plain, id: 'test/causal', causal: true },
  { ...plain, id: 'test/grouped', causal: true, keyHeads: 2 },
  { ...plain, id: 'test/decode', causal: true, queryLength: 1 },
  { ...plain, id: 'test/grouped-decode', causal: true, keyHeads: 2, queryLength: 1 },
  { ...plain, id: 'test/chunked', causal: true, queryLength: 11 },
  { ...plain, id: 'test/cross', queryLength: 20 },
  { ...plain, id: 'test/window', causal: true, keyHeads: 2, windowLeft: 7 },
  { ...plain, id: 'test/idle-window', causal: true, windowLeft: 36 },
  { ...plain, id: 'test/softcap', causal: true, keyHeads: 2, softcap: 5 },
  { ...plain, id: 'test/sinks', causal: true, sinks: true },
  { ...plain, id: 'test/documents', causal: true, documents: [10, 20, 7] },
  { ...plain, id: 'test/alibi', causal: true, alibi: true },
  { ...plain, id: 'test/float16', causal: true, queryLength: 1, keyDtype: 'float16' },
  { ...plain, id: 'test/int8', causal: true, queryLength: 1, keyDtype: 'int8' },
  { ...plain, id: 'test/int4', causal: true, queryLength: 1, keyDtype: 'int4' },
  { ...plain, id: 'test/sliding', causal: true, queryLength: 1, keyLength: 300, windowLeft: 99, cache: 'sliding' },
  { ...plain, id: 'test/paged', causal: true, keyHeads: 2, queryLength: 1, keyLength: 300, cache: 'paged' },
  { ...plain, id: 'test/rotary', causal: true, rotary: true },
  { ...plain, id: 'test/grouped-rotary', causal: true, keyHeads: 2, rotary: true },
  { ...plain, id: 'test/bias', bias: true },
  { ...plain, id: 'test/t5', keyLength: 150, t5: true },
  { ...plain, id: 'test/gradient', causal: true, gradient: 'alone' },
  { ...plain, id: 'test/training', causal: true, gradient: 'with forward' },
  { kind: 'sequence', id: 'test/sequence', source: 'a test', length: 70, width: 64, heads: 2 },
  { kind: 'linear', id: 'test/linear', source: 'a test', rows: 5, inputs: 64, outputs: 48 },
]

/** The names of all cases. */
export const everything: readonly string[] = cases.map(({ id }) => nameOf(id))

/**
 * Claims that a peer's numbers are the reference's in every case that it computes, and that it computes those it is `able` to, lest
 * an adapter that refuses everything passes. `asked` leaves the other cases out. Where the peer cannot start here the test is
 * skipped, with the reason.
 */
export function itAgrees(peer: Peer, able: readonly string[], asked: readonly string[] = everything): void {
  it('agrees with the float64 reference wherever it computes at all', { timeout: 120_000 }, async ({ skip }) => {
    const loaded = await peer.load({ threads: 1 }).catch((error: unknown) => {
      if (!(error instanceof Unavailable)) throw error
      return skip(error.message)
    })
    const done: string[] = []
    for (const bench of cases.filter(({ id }) => asked.includes(nameOf(id)))) {
      try {
        const contestant = await loaded.prepare(bench)
        await contestant.run()
        const agreement = checkResult(bench, await contestant.result(), contestant)
        expect(agreement, `${bench.id} by ${contestant.how}`).toMatchObject({ right: true })
        // QKV's own kernels are held to the bound itself.
        if (peer.id.startsWith('qkv/') && agreement.ofBound !== null) expect(agreement.ofBound, bench.id).toBeLessThanOrEqual(1)
        await contestant.dispose()
        done.push(nameOf(bench.id))
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error
      }
    }
    expect(done).toEqual(expect.arrayContaining([...able]))
  })
}

function nameOf(id: string): string {
  return id.slice('test/'.length)
}
