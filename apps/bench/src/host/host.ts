import type { BenchCase } from '../cases/case.ts'
import { checkResult } from '../measure/check.ts'
import { measureCeiling } from '../measure/rooflines.ts'
import { Unavailable, type Contestant, type LoadedPeer, type Peer, type PeerSettings } from '../peers/peer.ts'
import type { Answers, Question, Reply } from './protocol.ts'

/** Answers the runner's questions about one peer, wherever it runs. */
export function makeHost(peers: readonly Peer[], peakBytes: () => number | undefined): (question: Question) => Promise<Reply> {
  let loaded: LoadedPeer | undefined
  let settings: PeerSettings | undefined
  let prepared: { contestant: Contestant; bench: BenchCase } | undefined

  const release = async (): Promise<void> => {
    const given = prepared
    prepared = undefined
    await given?.contestant.dispose()
  }

  const answer = async (question: Question): Promise<Answers[Question['ask']]> => {
    switch (question.ask) {
      case 'load': {
        const peer = peers.find(({ id }) => id === question.peer)
        if (peer === undefined) throw new Unavailable(`there is no ${question.peer} here`)
        settings = { threads: question.threads, model: question.model }
        loaded = await peer.load(settings)
        return { version: loaded.version, settings: loaded.settings }
      }
      case 'prepare': {
        await release()
        const contestant = await required(loaded).prepare(question.bench)
        prepared = { contestant, bench: question.bench }
        return { how: contestant.how }
      }
      case 'check': {
        const { contestant, bench } = required(prepared)
        const start = performance.now()
        await contestant.run()
        const milliseconds = performance.now() - start
        const context = { layer: contestant.layer, model: settings?.model }
        return { milliseconds, agreement: checkResult(bench, await contestant.result(), context) }
      }
      case 'run': {
        const { contestant } = required(prepared)
        const start = performance.now()
        for (let repetition = 0; repetition < question.repetitions; repetition++) await contestant.run()
        const milliseconds = (performance.now() - start) / question.repetitions
        return { milliseconds, memory: { peakBytes: peakBytes(), reservedBytes: contestant.reservedBytes?.() } }
      }
      case 'release':
        await release()
        return undefined
      case 'ceiling':
        return measureCeiling(question.of)
    }
  }

  return async (question) => {
    try {
      return { ok: true, value: await answer(question) }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      return { ok: false, unavailable: error instanceof Unavailable, message: message.split('\n')[0] ?? '' }
    }
  }
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('asked out of order')
  return value
}
