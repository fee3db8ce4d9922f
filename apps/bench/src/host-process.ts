import { makeHost } from './host/host.ts'
import type { Question } from './host/protocol.ts'
import { peersOf } from './peers/field.ts'
import { nodeFields } from './peers/node.ts'

/** The entry of a contestant's process: see `host/process.ts`. */
const answer = makeHost(peersOf(nodeFields), () => 1024 * process.resourceUsage().maxRSS)

process.on('message', (question) => {
  void answer(question as Question).then((reply) => process.send?.(reply))
})
process.on('disconnect', () => process.exit())
