import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sharedFolder } from '@qkv/testing/shared-folder'
import { expect, it } from 'vitest'
import { caseGroups } from '../../src/cases/index.ts'
import type { WritingCase } from '../../src/cases/case.ts'
import { checkResult } from '../../src/measure/check.ts'
import type { Peer } from '../../src/peers/peer.ts'

const folder = sharedFolder('models/stories260k')
const { cases } = caseGroups.find(({ name }) => name === 'writing')!

/** A shorter text than the benchmark's. */
export const bench: WritingCase = { ...(cases[0] as WritingCase), tokens: 40 }

/** Claims that a peer writes token for token what float64 writes; skipped where the model is absent. */
export function itWrites(peer: Peer): void {
  it.skipIf(folder === undefined)(`${peer.id} writes what float64 writes`, async () => {
    const model = {
      checkpoint: readFileSync(join(folder!, 'stories260K.bin')),
      tokenizer: readFileSync(join(folder!, 'tok512.bin')),
    }
    const loaded = await peer.load({ threads: 1, model })
    const contestant = await loaded.prepare(bench)
    await contestant.run()
    const written = await contestant.result()
    expect(checkResult(bench, written, { model })).toEqual({ ofBound: null, relative: 0, right: true })
    written[20]!++
    expect(checkResult(bench, written, { model })).toMatchObject({ right: false })
    await contestant.dispose()
  })
}
