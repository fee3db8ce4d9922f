import { Unavailable, type Peer } from './peer.ts'

/**
 * A build of QKV beside another: the same peer, loaded by the other build's own host. This is how a change is judged,
 * before against after, interleaved on one machine.
 */

const mark = '@other-build'

export function otherBuildOf(subject: Peer): Peer {
  return {
    ...subject,
    id: `${subject.id}${mark}`,
    title: `${subject.title}, the other build`,
    load: () => Promise.reject(new Unavailable('the other build runs in a host of its own')),
  }
}

export function isOtherBuild(id: string): boolean {
  return id.endsWith(mark)
}

/** What the other build itself calls the peer. */
export function idInItsBuild(id: string): string {
  return isOtherBuild(id) ? id.slice(0, -mark.length) : id
}
