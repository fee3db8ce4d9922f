import { makeHost } from './host/host.ts'
import type { Question } from './host/protocol.ts'
import { browserFields } from './peers/browser.ts'
import { peersOf } from './peers/field.ts'

/** The entry of a contestant's worker: see `host/worker.ts`. */
const answer = makeHost(peersOf(browserFields), () => undefined)

addEventListener('message', ({ data }: MessageEvent<Question>) => {
  void answer(data).then((reply) => postMessage(reply))
})
