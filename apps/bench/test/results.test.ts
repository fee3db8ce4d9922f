import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { htmlParts } from '../src/report/html.ts'
import { closing } from '../src/report/terminal.ts'
import type { BenchReport } from '../src/report/report.ts'

const folder = new URL('../results/', import.meta.url)
const files = readdirSync(folder).filter((name) => name.endsWith('.json'))

describe('the reports that are kept', () => {
  it('are there', () => expect(files.length).toBeGreaterThan(0))

  it.each(files)('%s names its machine, versions and commit, and can be drawn', (file) => {
    const report = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as BenchReport
    expect(report).toMatchObject({ version: 2, title: expect.any(String), commit: expect.any(String) })
    const compared = new Set(report.cases.flatMap(({ rows }) => rows.map(({ peer }) => peer)))
    const others = report.peers.flatMap((peer) =>
      peer.status === 'ready' && compared.has(peer.id) && !peer.id.startsWith('qkv/') ? [peer] : [],
    )
    expect(others.length).toBeGreaterThan(0)
    const { summary, pictures, details } = htmlParts(report)
    expect(pictures).toContain('<svg')
    for (const { title, version } of others) {
      expect(version).toMatch(/^\d/)
      expect(summary + details).toContain(title)
    }
    expect(closing(report)).toContain('Altogether')
  })
})
