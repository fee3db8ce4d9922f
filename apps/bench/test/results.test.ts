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
    expect(report.peers.find(({ id }) => id.startsWith('onnxruntime'))).toMatchObject({
      status: 'ready',
      version: expect.any(String),
    })
    const { summary, pictures, details } = htmlParts(report)
    expect(pictures).toContain('<svg')
    expect(summary + details).toContain('ONNX Runtime')
    expect(closing(report)).toContain('Altogether')
  })
})
