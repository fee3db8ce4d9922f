import type { Peer } from './peer.ts'

/** Who competes for a device. */
export interface Field {
  /** What every other is measured against, in pairs. */
  readonly subject: Peer
  readonly peers: readonly Peer[]
}

export type Fields = Readonly<Record<Peer['device'], Field>>

export function peersOf(fields: Fields): readonly Peer[] {
  return Object.values(fields).flatMap(({ subject, peers }) => [subject, ...peers])
}
