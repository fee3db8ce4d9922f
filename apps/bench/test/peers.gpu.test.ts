import { describe } from 'vitest'
import { nodeFields } from '../src/peers/node.ts'
import { everything, itAgrees } from './support/adapter.ts'

const { subject, peers } = nodeFields.gpu

/** Building a session takes seconds on a software adapter: a few cases of different operators. */
const few = ['causal', 'grouped', 'grouped-decode', 'linear']

describe(subject.id, () => {
  itAgrees(subject, everything)
})

describe.each(peers)('$id', (peer) => {
  itAgrees(peer, few, few)
})
