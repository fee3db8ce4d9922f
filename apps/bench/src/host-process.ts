import { makeHost } from './host/host.ts'
import type { Question } from './host/protocol.ts'
import { nodeFields } from './peers/index.ts'

/** The entry of a contestant's process: see `host/process.ts`. */
const peers = Object.values(nodeFields).flatMap(({ subject, peers }) => [subject, ...peers])
const answer = makeHost(peers, () => process.memoryUsage.rss())

process.on('message', (question) => {
  void answer(question as Question).then((reply) => process.send?.(reply))
})
process.on('disconnect', () => process.exit())
