import { capture, scoreMod, type HostTensor, type ScoreMod } from '@qkv/core'

/** A slope for each head, as in ALiBi. */
export function slopes(byHead: HostTensor): ScoreMod {
  const slope = capture(byHead)
  return scoreMod((score, { head, query, key }) => score.add(slope.at(head).mul(key.sub(query))))
}

/** A number for each head and distance, as in T5; the last one is for all that is further away. */
export function distances(byHead: HostTensor): ScoreMod {
  const table = capture(byHead)
  const last = byHead.shape[1]! - 1
  return scoreMod((score, { head, query, key }) => score.add(table.at(head, query.sub(key).clamp(0, last))))
}
