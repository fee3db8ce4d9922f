import type { Peer } from '../peers/peer.ts'
import { connect, type Host } from './connection.ts'
import { makeHost } from './host.ts'

/** A host in this very thread: for tests, and where there is nowhere else. It cannot survive a peer that hangs. */
export function startHere(peers: readonly Peer[]): Host {
  return connect((onReply) => {
    const answer = makeHost(peers, () => undefined)
    return { send: (question) => void answer(question).then(onReply), close() {} }
  })
}
